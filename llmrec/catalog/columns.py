"""Which column is which field of a product: by usual names, or as ``--map title=product_name`` says.

``"Variant Price"``, ``"g:price"``, ``"price (EUR)"`` and ``"Preis"`` are all ``price``. Of several columns for one
field the more usual name wins and the others are kept in ``extra``, except images, which add up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec.errors import InputError

#: Names of a field's column, the more usual first, as ``normal`` writes them.
USUAL: dict[str, str] = {
    "id": "id product_id productid item_id itemid sku asin uniq_id unique_id product_code item_code article_id "
    "article_number artikelnummer artikel_nr artikel_id produkt_id produktnummer referencia reference ref codigo "
    "id_producto id_produit parent_asin handle variant_sku seller_sku item_sku offer_id goods_id spu_id product_sku "
    "gtin gtin13 gtin14 ean ean13 upc barcode isbn mpn part_number uuid class_id 商品id 商品编号 商品コード",
    "title": "title name product_name productname product_title item_name item_title product titel produktname "
    "produkttitel artikelname artikelbezeichnung bezeichnung produkt titre nom nom_produit produit titulo título "
    "nombre nombre_producto producto display_name label post_title class_name 商品名 商品名称 标题 タイトル",
    "description": "description desc product_description item_description long_description full_description body_html "
    "body content details about about_product about_the_product description_html short_description "
    "product_details bullet_points features beschreibung produktbeschreibung artikelbeschreibung descriptif "
    "description_produit descripcion descripción overview summary post_content 商品描述 描述 商品説明 説明",
    "brand": "brand brand_name manufacturer vendor maker marke hersteller marque fabricant marca fabricante producer "
    "品牌 ブランド",
    "category": "category categories category_path product_category google_product_category product_type category_name "
    "taxonomy breadcrumb breadcrumbs department kategorie kategorien warengruppe categorie catégorie categoria "
    "categoría product_category_tree main_category item_type type coarse_class_name 类目 分类 カテゴリ カテゴリー",
    "price": "price current_price unit_price list_price regular_price retail_price selling_price variant_price "
    "standard_price preis verkaufspreis prix precio final_price actual_price sale_price discounted_price "
    "discount_price price_amount price_usd price_eur price_gbp msrp 价格 価格",
    "currency": "currency price_currency currency_code price_currency_code waehrung währung devise moneda 币种 通貨",
    "images": "images image image_url image_urls image_link image_links image_src img imgs img_url product_image "
    "product_images main_image main_image_url picture pictures picture_url photo photos featured_image bild bilder "
    "bild_url image_principale imagen imagenes additional_image_link additional_image_links variant_image "
    "iconic_image_path image_path thumbnail 图片 画像",
    "url": "url link product_url product_link producturl permalink product_page_url page_url item_url href lien enlace",
    "language": "language lang locale content_language sprache langue idioma",
    "attributes": "attributes attribute attrs specifications product_specifications specs specification properties "
    "technical_details merkmale eigenschaften caracteristiques características caracteristicas",
    "extra": "extra",
}
#: Columns that are attributes by their own right.
ATTRIBUTES = frozenset(
    [
        "color",
        "colour",
        "size",
        "material",
        "pattern",
        "gender",
        "age_group",
        "style",
        "flavor",
        "flavour",
        "scent",
        "fabric",
        "model",
        "model_number",
        "capacity",
        "farbe",
        "groesse",
        "größe",
        "couleur",
        "taille",
        "talla",
    ]
)
FIELDS = tuple(USUAL)
_PLURAL = frozenset(["categories", "breadcrumbs", "kategorien", "taxonomy", "product_category_tree"])
_RANK = {name: (field, rank) for field, names in USUAL.items() for rank, name in enumerate(names.split())}
_NOTE = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_JOINTS = re.compile(r"[\s_\-./]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ATTRIBUTE = re.compile(r"^(?:attributes?|attr|spec|特性)\s*[:._]\s*(.+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the values of a row go: positions of its columns, -1 for a field that the row has not."""

    columns: tuple[str, ...]
    id: int
    title: int
    description: int
    brand: int
    category: int
    price: int
    currency: int
    url: int
    language: int
    attributes: int
    extra_column: int
    images: tuple[int, ...]
    several_categories: bool
    named_attributes: tuple[tuple[str, int], ...]
    extra: tuple[tuple[str, int], ...]
    chosen: tuple[tuple[str, str], ...]
    contested: bool

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The columns that no field was found for; their values go to ``extra``."""
        return tuple(name for name, _ in self.extra)


def normal(column: str) -> str:
    """A column's name in the spelling of the tables above: ``"g:Product-Title (de)"`` is ``"product_title"``."""
    name = _NOTE.sub("", column.strip().removeprefix("g:")) or column
    return _JOINTS.sub("_", _CAMEL.sub("_", name)).strip("_").lower()


def known(column: str) -> str | None:
    """The field that a column has by its usual name, if any."""
    name = normal(column)
    found = _RANK.get(name) or _RANK.get(name.replace("_", ""))
    return found[0] if found else None


def plan_for(columns: Sequence[str], mapping: Mapping[str, Sequence[str]]) -> Plan:
    """Lay out a row of these columns; a mapped column that the row has not is left out (see ``missing_columns``)."""
    taken: dict[str, list[int]] = {}
    attributes: list[tuple[str, int]] = []
    used: set[int] = set()
    for field, wanted in mapping.items():
        found = [place for name in wanted if (place := locate(columns, name)) is not None]
        used.update(found)
        if field.startswith("attributes."):
            attributes += [(field.removeprefix("attributes."), place) for place in found]
        elif found:
            taken[field] = found
    ranked: dict[str, list[tuple[int, int]]] = {}
    for place, column in enumerate(columns):
        if place in used:
            continue
        name = normal(column)
        if (hit := _RANK.get(name) or _RANK.get(name.replace("_", ""))) and hit[0] not in mapping:
            ranked.setdefault(hit[0], []).append((hit[1], place))
        elif match := _ATTRIBUTE.match(column.strip()):
            attributes.append((match[1].strip(), place))
            used.add(place)
        elif name in ATTRIBUTES:
            attributes.append((column.strip(), place))
            used.add(place)
    for field, hits in ranked.items():
        places = [place for _, place in sorted(hits)]
        taken[field] = places if field == "images" else places[:1]
        used.update(taken[field])
    contested = any(len(hits) > 1 for field, hits in ranked.items() if field != "images")
    one = {field: places[0] for field, places in taken.items()}
    return Plan(
        columns=tuple(columns),
        **{name: one.get(name, -1) for name in FIELDS if name not in ("images", "extra")},  # type: ignore[arg-type]
        extra_column=one.get("extra", -1),
        images=tuple(taken.get("images", ())),
        several_categories="category" in one and normal(columns[one["category"]]) in _PLURAL,
        named_attributes=tuple(attributes),
        extra=tuple((column, place) for place, column in enumerate(columns) if place not in used),
        chosen=tuple((field, columns[place]) for field, places in taken.items() for place in places)
        + tuple((f"attributes.{name}", columns[place]) for name, place in attributes),
        contested=contested,
    )


def locate(columns: Sequence[str], name: str) -> int | None:
    """Position of a column by its exact name, else by the same name in another spelling."""
    if name in columns:
        return list(columns).index(name)
    return next((place for place, column in enumerate(columns) if normal(column) == normal(name)), None)


def missing_columns(file: str, columns: Sequence[str], mapping: Mapping[str, Sequence[str]]) -> None:
    """Refuse a mapping to columns that the file has not.

    Raises:
        InputError: Names the nearest columns.
    """
    for field, wanted in mapping.items():
        for name in wanted:
            if locate(columns, name) is None:
                near = difflib.get_close_matches(name, columns, n=3, cutoff=0.4)
                hint = f"nearest: {', '.join(near)}" if near else f"columns: {shown(columns)}"
                step = f"Correct '--map {field}={name}' ({hint})."
                raise InputError(f"{file}: has no column {name!r}", next_step=step)


def read_mapping(mapping: Mapping[str, str | Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """Check the fields of a mapping from field to column (or columns, for images).

    Raises:
        InputError: A field that products have not.
    """
    checked: dict[str, tuple[str, ...]] = {}
    for field, columns in (mapping or {}).items():
        name = {"image": "images", "category_path": "category", "attribute": "attributes"}.get(field, field)
        name = re.sub(r"^attributes?[.:]", "attributes.", name)
        if name not in FIELDS and not (name.startswith("attributes.") and len(name) > len("attributes.")):
            step = f"Map one of {', '.join(FIELDS)} or attributes.NAME, as in '--map title=product_name'."
            raise InputError(f"a product has no field {field!r}", next_step=step)
        checked[name] = (columns,) if isinstance(columns, str) else tuple(columns)
    return checked


def shown(columns: Sequence[str], limit: int = 20) -> str:
    """Column names for a message."""
    names = [column if len(column) <= 40 else column[:40] + "…" for column in columns[:limit]]
    return ", ".join(names) + (f" and {len(columns) - limit} more" if len(columns) > limit else "")
