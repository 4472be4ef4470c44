"""Drawings of electronics and tools; each returns an RGBA image of 1000 x 1000."""

from __future__ import annotations

from pen import Pen, across, down
from PIL import Image


def headphones() -> Image.Image:
    """Over-ear headphones in sand."""
    pen = Pen()
    sand = across("#b39c76", "#eadcc0", "#d4c19c", "#a08860")
    pen.arc((215, 120, 785, 860), 188, 352, sand, 58)
    pen.arc((240, 150, 760, 860), 196, 344, "#8d7853", 22)
    for left in (True, False):
        x = 215 if left else 785
        sign = 1 if left else -1
        pen.box((x - 22, 400, x + 22, 560), across("#8f959b", "#eef1f3", "#8f959b"), radius=18)
        pen.blob(
            [
                (x - 105, 640),
                (x - 70, 500),
                (x, 465),
                (x + 70, 500),
                (x + 105, 640),
                (x + 75, 800),
                (x, 845),
                (x - 75, 800),
            ],
            sand,
        )
        pen.blob(
            [
                (x + sign * 60, 520),
                (x + sign * 150, 540),
                (x + sign * 175, 650),
                (x + sign * 150, 770),
                (x + sign * 60, 800),
            ],
            across("#5d5140", "#8d7c62", "#4b4234"),
        )
        pen.ellipse((x - 62, 575, x + 62, 735), across("#cdb88f", "#f2e7d0", "#b9a47c"))
    pen.text("QUIETANCHOR", (215, 655), size=27, color="#4b3d26", turn=90)
    pen.text("QUIETANCHOR", (785, 655), size=27, color="#4b3d26", turn=270)
    return pen.image()


def headphone_case() -> Image.Image:
    """The hard case, open, with the name on the lid."""
    pen = Pen()
    pen.box((140, 180, 860, 560), across("#7a6a4e", "#b8a680", "#6c5d43"), radius=150)
    pen.box((175, 215, 825, 540), across("#4d4333", "#6b5e47", "#443b2d"), radius=125)
    pen.box((140, 500, 860, 860), down("#b8a680", "#77674b"), radius=150)
    pen.line([(165, 560), (835, 560)], "#e4d6b6", 10)
    pen.box((440, 540, 560, 590), "#d8dcdf", radius=16)
    pen.text("QUIETANCHOR", (500, 700), size=66, color="#f6ecd6")
    pen.text("DRIFT", (500, 780), size=44, color="#f6ecd6", face="DejaVuSans-Oblique")
    return pen.image()


def drill() -> Image.Image:
    """Cordless drill in the green of the brand, chuck to the left."""
    pen = Pen()
    green = down("#5fae3d", "#3d7f27", "#2c611b")
    pen.polygon([(60, 318), (190, 300), (190, 360), (60, 342)], across("#7f868d", "#dfe3e6", "#8b9299", angle=90))
    pen.box((180, 255, 300, 405), across("#2b2f33", "#70777d", "#24282b", angle=90), radius=24)
    pen.blob([(290, 230), (500, 205), (760, 215), (835, 280), (830, 400), (760, 450), (500, 455), (290, 430)], green)
    pen.blob([(600, 420), (760, 420), (775, 560), (750, 720), (620, 720), (590, 560)], down("#33383b", "#1e2123"))
    pen.box((545, 460, 600, 545), "#d9482f", radius=18)
    pen.box((530, 710, 850, 860), down("#3d4347", "#1b1e20"), radius=30)
    pen.box((530, 720, 850, 760), green, radius=12)
    pen.text("18 V", (690, 812), size=52, color="#ffffff")
    pen.text("KURBELWALD", (550, 330), size=60, color="#ffffff", face="DejaVuSans-BoldOblique")
    for y in (255, 280):
        pen.line([(700, y), (790, y + 6)], "#24521880", 8)
    return pen.image()


def drill_case() -> Image.Image:
    """Tool case with two batteries in front."""
    pen = Pen()
    pen.arc((380, 150, 620, 380), 180, 360, "#24282b", 40)
    pen.box((110, 260, 890, 720), down("#454b50", "#24282b"), radius=50)
    pen.box((140, 290, 860, 690), down("#3a4045", "#2b3034"), radius=36)
    pen.line([(110, 480), (890, 480)], "#15181a", 10)
    for x in (260, 740):
        pen.box((x - 50, 440, x + 50, 530), "#5fae3d", radius=12)
    pen.text("KURBELWALD", (500, 385), size=70, color="#8fd66b", face="DejaVuSans-BoldOblique")
    for x in (330, 610):
        pen.box((x - 110, 650, x + 110, 880), down("#51585d", "#1f2326"), radius=26)
        pen.box((x - 110, 650, x + 110, 700), "#5fae3d", radius=16)
        pen.text("18 V", (x, 800), size=58, color="white")
    return pen.image()


def keyboard() -> Image.Image:
    """Compact keyboard in cream with a volume knob and a function row."""
    pen = Pen()
    pen.box((20, 320, 980, 700), down("#f2e8d2", "#cdbf9f"), radius=36)
    pen.box((40, 338, 960, 678), down("#d9ccaf", "#e8dcc1"), radius=24)
    rows = (14, 14, 14, 13, 12, 9)
    for row, count in enumerate(rows):
        y, x = 350 + 54 * row, 52.0
        widths = [1.0] * count if row < 5 else [1.2, 1.2, 1.2, 5.2, 1, 1, 1, 1, 1]
        room = 800 if row == 0 else 896
        unit = room / sum(widths)
        for place, width in enumerate(widths):
            accent = (row, place) in {(0, 0), (3, 12)}
            top, low = (
                ("#e8896a", "#c4623f")
                if accent
                else ("#fffaf0", "#e0d5bd")
                if 0 < place < count - 1
                else ("#cfc0a0", "#b3a381")
            )
            pen.box((x + 3, y + 3, x + unit * width - 3, y + 49), low, radius=9)
            pen.box((x + 7, y + 4, x + unit * width - 7, y + 41), top, radius=8)
            x += unit * width
    pen.ellipse((876, 346, 936, 406), across("#a98a4c", "#f1dca4", "#8f7238"))
    pen.ellipse((889, 359, 923, 393), "#d9bf7e")
    pen.text("CLACKMOOR", (500, 689), size=22, color="#7a6947")
    return pen.image()


def keyboard_box() -> Image.Image:
    """The keyboard on its box, whose print says name and switch."""
    pen = Pen()
    pen.box((40, 520, 960, 880), down("#2f3a46", "#1b222a"), radius=20)
    pen.text("CLACKMOOR", (330, 640), size=76, color="#f2e8d2")
    pen.text("TERN 75", (255, 740), size=56, color="#e8896a", face="DejaVuSansMono-Bold")
    pen.text("brown tactile", (700, 740), size=46, color="#f2e8d2", face="DejaVuSans")
    pen.box((540, 790, 860, 840), "#8a5a36", radius=22)
    pen.text("ANSI · US", (700, 815), size=34, color="white")
    pen.paste(keyboard(), (130, 60, 870, 720), turn=0)
    return pen.image()


def mouse() -> Image.Image:
    """Small rounded mouse in cream, seen from above."""
    pen = Pen()
    pen.blob(
        [
            (500, 130),
            (660, 190),
            (730, 400),
            (740, 650),
            (650, 850),
            (500, 900),
            (350, 850),
            (260, 650),
            (270, 400),
            (340, 190),
        ],
        across("#cdbf9f", "#fff7e6", "#efe4cb", "#bfb08e"),
    )
    pen.line([(500, 140), (500, 440)], "#a99a78", 7)
    pen.line([(275, 450), (400, 480), (600, 480), (725, 450)], "#a99a78", 7)
    pen.box((468, 220, 532, 380), "#6f6248", radius=30)
    pen.box((478, 240, 522, 360), across("#3d3628", "#8d7d5e", "#3d3628"), radius=22)
    return pen.image()
