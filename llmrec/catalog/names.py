"""The names under which shops keep the fields of a product, the more usual first, as ``columns.normal`` writes them.

Collected from exports of Shopify, WooCommerce, Google Merchant, Amazon, eBay and Etsy, public data sets, and the words
of German, French, Spanish, Chinese and Japanese shops.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USUAL: dict[str, tuple[str, ...]] = {
    "id": _words(
        "id product_id productid item_id itemid sku asin uniq_id unique_id pid product_code item_code article_id "
        "article_number item_number artikelnummer artikel_nr art_nr artnr "
        "artikel_id bestellnummer produkt_id produktnummer referencia reference "
        "ref codigo código id_producto id_produit parent_asin handle variant_sku seller_sku item_sku product_sku "
        "custom_label offer_id goods_id spu_id listing_id gtin gtin13 gtin14 ean ean13 upc barcode isbn mpn "
        "part_number uuid _id asin1 class_id 商品id 商品编号 商品コード"
    ),
    "title": _words(
        "title name product_name productname product_title item_name item_title product titel produktname "
        "produkttitel artikelname artikelbezeichnung bezeichnung produkt titre nom nom_produit produit titulo título "
        "nombre nombre_producto producto display_name label post_title class_name 商品名 商品名称 标题 タイトル"
    ),
    "description": _words(
        "description desc product_description item_description long_description full_description body_html body "
        "content about about_product about_the_product description_html short_description product_details "
        "bullet_points features beschreibung produktbeschreibung artikelbeschreibung descriptif description_produit "
        "descripcion descripción overview summary post_content 商品描述 描述 商品説明 説明"
    ),
    "brand": _words(
        "brand brand_name manufacturer vendor maker marke hersteller marque fabricant marca fabricante producer "
        "品牌 ブランド"
    ),
    "category": _words(
        "category categories category_path product_category google_product_category product_type category_name "
        "taxonomy breadcrumb breadcrumbs department kategorie kategorien warengruppe categorie catégorie categoria "
        "categoría product_category_tree main_category item_type type coarse_class_name 类目 分类 カテゴリ カテゴリー"
    ),
    "price": _words(
        "price current_price unit_price list_price regular_price retail_price selling_price variant_price "
        "standard_price start_price preis verkaufspreis vk vk_brutto "
        "brutto bruttopreis vk_preis prix precio final_price actual_price sale_price "
        "discounted_price discount_price price_amount price_usd price_eur price_gbp msrp 价格 価格"
    ),
    "currency": _words(
        "currency price_currency currency_code price_currency_code waehrung währung devise moneda 币种 通貨"
    ),
    "images": _words(
        "images image image_url image_urls image_link image_links image_src img imgs img_url product_image "
        "product_images main_image main_image_url picture pictures picture_url photo photos featured_image bild bilder "
        "bild_url image_principale imagen imagenes additional_image_link additional_image_links variant_image "
        "iconic_image_path image_path thumbnail 图片 画像"
    ),
    "url": _words(
        "url link product_url product_link producturl permalink product_page_url page_url item_url href lien enlace"
    ),
    "language": _words("language lang locale content_language sprache langue idioma"),
    "attributes": _words(
        "attributes attribute attrs specifications product_specifications specs specification properties details "
        "technical_details merkmale eigenschaften caracteristiques características caracteristicas"
    ),
    "extra": ("extra",),
}
#: Columns that are attributes in their own right.
ATTRIBUTES = frozenset(
    _words(
        "color colour size material pattern gender age_group style flavor flavour scent fabric model model_number "
        "capacity farbe groesse größe couleur taille talla"
    )
)
#: Category columns that may hold several paths.
PLURAL = frozenset(_words("categories breadcrumbs kategorien taxonomy product_category_tree"))
#: Nested columns that hold a price among other things (schema.org, Shopify).
OFFERS = frozenset(_words("offers offer variants"))
#: Keys under which JSON exports keep the list of products.
WRAPPERS = frozenset(_words("products items data results records rows entries hits docs documents catalog list"))
CURRENCIES = frozenset(
    _words(
        "usd eur gbp jpy cny chf inr cad aud nzd sek nok dkk pln czk huf ron try rub uah krw thb vnd idr myr sgd hkd "
        "twd php brl mxn clp cop ars zar aed sar ils egp ngn kes"
    )
)
