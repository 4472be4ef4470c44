"""Drawings of things for kitchen, table and home; each returns an RGBA image of 1000 x 1000."""

from __future__ import annotations

import math

from pen import Pen, across, down, smooth
from PIL import Image

STEEL = across("#8d949b", "#eef1f3", "#b9c0c6", "#7d848b")


def kettle() -> Image.Image:
    """Matte green kettle, 1.7 l, with a dial of temperatures in the foot."""
    pen = Pen()
    green = across("#3f5d4c", "#6f9a7f", "#5b856b", "#34503f")
    pen.line([(690, 300), (830, 320), (860, 480), (820, 640), (700, 720)], across("#25382d", "#4b6f5a"), 54)
    pen.polygon([(330, 330), (190, 260), (175, 300), (300, 480)], across("#34503f", "#5b856b"))
    pen.polygon([(330, 240), (670, 240), (735, 790), (265, 790)], green)
    pen.box((262, 760, 738, 820), green, radius=30)
    pen.ellipse((330, 205, 670, 275), down("#7fa88d", "#446653"))
    pen.ellipse((360, 200, 640, 255), down("#6f9a7f", "#395848"))
    pen.line([(440, 205), (450, 165), (550, 165), (560, 205)], "#2b2f2d", 26)
    pen.polygon([(372, 300), (412, 300), (370, 740), (310, 740)], "#ffffff28", blur=8)
    pen.box((225, 815, 775, 900), down("#3a3f3d", "#191c1b"), radius=30)
    for place, heat in enumerate(("60", "70", "80", "90", "100")):
        pen.ellipse((300 + 88 * place, 838, 348 + 88 * place, 878), "#ff9a3c" if heat == "70" else "#59605d")
        pen.text(heat, (324 + 88 * place, 858), size=20, color="#101211" if heat == "70" else "white")
    pen.text("PELLORIN", (502, 470), size=52, color="#f3efe2", face="DejaVuSerif-Bold")
    pen.line([(420, 520), (590, 520)], "#f3efe2", 4)
    return pen.image()


def waffle_maker() -> Image.Image:
    """A round waffle iron, open, with a waffle in it."""
    pen = Pen()
    body = across("#7f2a25", "#c9554a", "#a8413a", "#64201c")
    pen.ellipse((190, 60, 810, 560), body)
    pen.ellipse((235, 100, 765, 520), down("#2d2f31", "#55595c"))
    for step in range(5):
        pen.line([(300 + 100 * step, 180), (300 + 100 * step, 440)], "#1f2123", 14)
        pen.line([(280, 190 + 60 * step), (720, 190 + 60 * step)], "#1f2123", 14)
    pen.box((420, 540, 580, 640), "#44484b", radius=20)
    pen.box((150, 640, 850, 880), body, radius=110)
    pen.ellipse((140, 560, 860, 790), across("#8e332d", "#d66a5e", "#8e332d"))
    pen.ellipse((190, 580, 810, 765), down("#2d2f31", "#4b4f52"))
    pen.ellipse((240, 585, 760, 745), down("#f0b45a", "#c77f2b"))
    for step in range(-3, 4):
        pen.line([(500 + 70 * step, 600 + 8 * abs(step)), (500 + 80 * step, 732 - 8 * abs(step))], "#a5641d", 10)
    for step in range(4):
        pen.line(
            [(300 - 20 * (step % 3 > 0), 615 + 34 * step), (700 + 20 * (step % 3 > 0), 615 + 34 * step)], "#a5641d", 9
        )
    pen.box((840, 690, 960, 750), "#2b2d2f", radius=28)
    pen.text("PELLORIN", (500, 835), size=54, color="#fdf3e4", face="DejaVuSerif-Bold")
    return pen.image()


def chef_knife() -> Image.Image:
    """Chef's knife, blade to the left, handle of ash."""
    pen = Pen()
    pen.polygon(
        [
            (30, 560),
            *smooth([(30, 560), (140, 470), (330, 425), (640, 415)], closed=False),
            (640, 600),
            *smooth([(600, 606), (400, 606), (190, 592), (30, 560)], closed=False),
        ],
        across("#f4f6f7", "#c7cdd2", "#eef1f3", "#aab1b7", angle=70),
    )
    pen.polygon([(60, 560), (330, 585), (600, 590), (600, 604), (400, 604), (190, 590)], "#ffffffb0")
    pen.box((628, 405, 690, 610), down("#dfe3e6", "#8b9299"), radius=14)
    pen.blob(
        [(685, 430), (800, 425), (900, 440), (965, 480), (960, 560), (900, 560), (800, 520), (685, 525)],
        down("#e2c08d", "#c1955a", "#94693a"),
    )
    for x in (735, 815, 895):
        pen.ellipse((x - 11, 470 + (x - 735) // 9, x + 11, 492 + (x - 735) // 9), "#8b6a43")
    pen.text("TARNQUIST", (455, 510), size=48, color="#5c646b", face="DejaVuSerif-Bold")
    return pen.image()


def paring_knife() -> Image.Image:
    """Small knife beside two strawberries."""
    pen = Pen()
    pen.polygon(
        [
            (230, 545),
            *smooth([(230, 545), (330, 490), (430, 470), (560, 470)], closed=False),
            (560, 560),
            *smooth([(530, 562), (400, 562), (230, 545)], closed=False),
        ],
        across("#f4f6f7", "#c7cdd2", "#eef1f3", angle=70),
    )
    pen.box((552, 462, 592, 568), down("#dfe3e6", "#8b9299"), radius=10)
    pen.blob(
        [(588, 478), (700, 472), (800, 490), (830, 530), (800, 560), (700, 552), (588, 556)],
        down("#e2c08d", "#c1955a", "#94693a"),
    )
    for x in (640, 720):
        pen.ellipse((x - 8, 506, x + 8, 522), "#8b6a43")
    pen.text("TARNQUIST", (445, 520), size=25, color="#5c646b", face="DejaVuSerif-Bold")
    for x, y in ((300, 760), (470, 800)):
        pen.blob(
            [(x, y - 90), (x + 80, y - 70), (x + 70, y + 20), (x, y + 95), (x - 70, y + 20), (x - 80, y - 70)],
            across("#b3162a", "#ee3f4f", "#c21b2f"),
        )
        for dot in range(9):
            dx, dy = 48 * math.cos(dot * 2.4) * (dot / 9), 60 * math.sin(dot * 2.4) * (dot / 9)
            pen.ellipse((x + dx - 5, y + dy - 8, x + dx + 5, y + dy + 6), "#ffd98a")
        pen.blob(
            [(x - 70, y - 85), (x, y - 65), (x + 70, y - 85), (x + 20, y - 110), (x, y - 140), (x - 20, y - 110)],
            down("#5fae4b", "#2f7a2a"),
        )
    return pen.image()


def tea_tin() -> Image.Image:
    """Tall tin with a lid, a moon and a line of smoke."""
    pen = Pen()
    tin = across("#1c2440", "#3d4d80", "#2c3963", "#151b33")
    pen.box((290, 250, 710, 900), tin, radius=46)
    pen.ellipse((290, 850, 710, 930), across("#151b33", "#2c3963", "#10152a"))
    pen.box((275, 160, 725, 290), across("#9c7a35", "#ecd491", "#c9a654", "#83642a"), radius=30)
    pen.ellipse((275, 115, 725, 215), down("#f2dfa5", "#c4a052"))
    pen.ellipse((420, 350, 580, 510), "#f2dfa5")
    pen.ellipse((455, 335, 605, 485), across("#33427080", "#2c3963"))
    pen.line([(500, 800), (470, 770), (530, 740), (480, 705), (515, 680)], "#e9e2cf90", 10)
    pen.text("Moonkettle", (500, 560), size=58, color="#f2dfa5", face="DejaVuSerif-BoldItalic")
    pen.text("SMOKED EARL", (500, 630), size=40, color="#f7f2e4")
    pen.text("loose leaf · 100 g", (500, 845), size=30, color="#f7f2e4", face="DejaVuSans")
    return pen.image()


def desk_lamp() -> Image.Image:
    """Two-joint lamp in sage with a round base and a socket in it."""
    pen = Pen()
    sage = across("#7d9479", "#b9cdb2", "#93ab8d")
    pen.polygon([(235, 380), (500, 300), (760, 900), (40, 900)], down("#fff2b070", "#fff2b000"), blur=14)
    pen.line([(640, 850), (760, 520)], sage, 34)
    pen.line([(760, 520), (500, 250)], sage, 34)
    for x, y in ((760, 520), (500, 250)):
        pen.ellipse((x - 34, y - 34, x + 34, y + 34), "#6a8066")
    pen.polygon([(520, 200), (585, 300), (250, 430), (195, 325)], across("#8ea688", "#c6d8c0", "#7d9479"))
    pen.polygon([(250, 430), (195, 325), (180, 345), (232, 448)], "#fff4c2")
    pen.ellipse((440, 810, 850, 930), down("#a9bfa3", "#6a8066"))
    pen.ellipse((440, 795, 850, 905), down("#c2d4bc", "#8ea688"))
    pen.box((468, 842, 520, 860), "#2e3a2d", radius=8)
    pen.text("FERNLUMEN", (655, 868), size=34, color="#2e3a2d")
    return pen.image()


def coffee_bag() -> Image.Image:
    """Paper bag of beans, 250 g."""
    return _pouch(
        ("#70452a", "#c08a5d", "#a87148", "#5f3821"),
        "#2a1a10",
        [
            ("COPPERFINCH", 47, "DejaVuSerif-Bold", 395),
            ("Harbour Blend", 46, "DejaVuSerif-Italic", 468),
            ("DECAF", 66, "DejaVuSans-Bold", 640),
            ("whole bean  ·  250 g", 34, "DejaVuSans", 790),
        ],
    )


def _pouch(paper: tuple[str, ...], ink: str, words: list[tuple[str, int, str, int]]) -> Image.Image:
    pen = Pen()
    pen.blob(
        [(265, 170), (735, 170), (745, 520), (760, 880), (700, 920), (300, 920), (240, 880), (255, 520)], across(*paper)
    )
    pen.box((258, 130, 742, 215), down(paper[1], paper[3]), radius=12)
    for y in (155, 172, 189):
        pen.line([(270, y), (730, y)], "#00000030", 4)
    pen.box((290, 320, 710, 860), "#f6ecdbe8", radius=26)
    pen.ellipse((455, 520, 545, 600), down("#8a5a36", "#4c2d19"))
    pen.line([(480, 590), (505, 560), (495, 545), (522, 528)], "#f6ecdb", 7)
    for text, size, face, y in words:
        pen.text(text, (500, y), size=size, color=ink, face=face)
    return pen.image()


def dog_food() -> Image.Image:
    """Large sack with a dog's head on it."""
    pen = Pen()
    sack = across("#0f5d63", "#2ea0a3", "#1c8286", "#0b484d")
    pen.blob([(200, 120), (500, 105), (800, 120), (820, 500), (830, 900), (500, 935), (170, 900), (180, 500)], sack)
    pen.box((195, 85, 805, 165), down("#f0e6d2", "#cbbd9f"), radius=10)
    pen.line([(215, 128), (785, 128)], "#8f8264", 5, curved=False)
    pen.ellipse((330, 330, 670, 650), "#f6ecdb")
    pen.blob([(410, 420), (500, 395), (590, 420), (605, 520), (560, 600), (440, 600), (395, 520)], "#b9783e")
    pen.blob([(405, 420), (360, 430), (345, 530), (385, 560), (420, 490)], "#7d4c22")
    pen.blob([(595, 420), (640, 430), (655, 530), (615, 560), (580, 490)], "#7d4c22")
    pen.ellipse((445, 520, 555, 610), "#f0d9b8")
    pen.ellipse((475, 520, 525, 556), "#22160d")
    for x in (455, 525):
        pen.ellipse((x, 455, x + 24, 483), "#22160d")
    pen.text("BARKENSHAW", (500, 245), size=72, color="#fff6e2")
    pen.box((235, 690, 765, 770), "#ff8f5c", radius=38)
    pen.text("Salmon & Sweet Potato", (500, 728), size=38, color="#40150a")
    pen.text("adult", (350, 840), size=48, color="#fff6e2", face="DejaVuSans-Oblique")
    pen.text("12 kg", (640, 840), size=66, color="#fff6e2")
    return pen.image()


def baby_bottle() -> Image.Image:
    """Glass bottle with a teat and a printed scale."""
    pen = Pen()
    pen.blob(
        [(470, 60), (530, 60), (545, 150), (600, 225), (400, 225), (455, 150)], across("#e9c9a2", "#fbe9d0", "#dcb68b")
    )
    pen.box((365, 215, 635, 330), across("#d9755f", "#f6a48f", "#c96550"), radius=26)
    for step in range(9):
        pen.line([(385 + 29 * step, 240), (385 + 29 * step, 310)], "#b8574440", 6)
    pen.box((340, 330, 660, 930), across("#c4dbe2d8", "#f3fafbd8", "#dcecf0d8", "#b3cdd6d8"), radius=80)
    pen.box((356, 520, 644, 914), across("#f3ead8f0", "#fffdf6f0", "#ece0c8f0"), radius=66)
    pen.ellipse((356, 500, 644, 545), "#fffaf0")
    for step, amount in enumerate(("240", "180", "120", "60")):
        y = 430 + 125 * step
        pen.line([(365, y), (410, y)], "#5d7f8b", 6)
        pen.text(amount, (455, y), size=32, color="#5d7f8b")
    pen.line([(600, 420), (612, 620), (602, 840)], "#ffffffb0", 16)
    pen.text("TUMBLEFIG", (545, 660), size=46, color="#c45a45", turn=90)
    return pen.image()
