"""Drawings of things to wear, carry and play with; each returns an RGBA image of 1000 x 1000."""

from __future__ import annotations

import math

from pen import Pen, across, down, smooth
from PIL import Image


def shoe() -> Image.Image:
    """Trail shoe in teal and orange with deep lugs, toe to the left."""
    pen = Pen()
    upper = across("#0f7c82", "#22aeb0", "#148e92", "#0c666c", angle=30)
    for x in range(95, 910, 62):
        pen.polygon([(x, 735), (x + 44, 735), (x + 36, 790), (x + 10, 790)], "#23292b")
    pen.polygon(
        smooth([(80, 690), (120, 640), (500, 650), (900, 620), (935, 680), (925, 745), (500, 752), (110, 750)]),
        down("#ff9a4a", "#e86f1c"),
    )
    pen.polygon(
        smooth(
            [
                (90, 660),
                (120, 570),
                (250, 520),
                (380, 450),
                (480, 340),
                (560, 285),
                (640, 310),
                (760, 290),
                (880, 265),
                (915, 330),
                (905, 480),
                (925, 640),
                (700, 672),
                (400, 682),
                (150, 685),
            ]
        ),
        upper,
    )
    pen.blob([(575, 300), (650, 335), (770, 315), (870, 285), (840, 260), (700, 275)], "#123f43")
    pen.polygon(
        smooth([(90, 660), (118, 580), (215, 545), (240, 610), (230, 682), (140, 684)]), down("#ff9a4a", "#e06a18")
    )
    pen.polygon(smooth([(800, 480), (905, 450), (922, 640), (800, 660)]), down("#ff9a4a", "#e06a18"))
    pen.line([(470, 420), (520, 500), (600, 660)], "#ffffff40", 8)
    for step in range(5):
        x, y = 420 + 42 * step, 470 - 38 * step
        pen.line([(x - 40, y - 6), (x + 46, y + 34)], "#ffb06b", 13)
    pen.line([(575, 300), (545, 230), (590, 205)], "#ffb06b", 12)
    pen.box((570, 185, 622, 225), "#2a2f31", radius=10)
    pen.line([(885, 275), (915, 235), (930, 285)], "#ffb06b", 12)
    pen.text("GRAVELHART", (655, 575), size=46, color="#f7f4ea", face="DejaVuSans-BoldOblique", turn=2)
    pen.text("SCREE 3", (330, 610), size=36, color="#f7f4ea", face="DejaVuSans-BoldOblique", turn=4)
    return pen.image()


def sip_bottle() -> Image.Image:
    """Orange steel bottle with a straw lid."""
    pen = Pen()
    pen.line([(500, 190), (500, 110), (590, 85)], "#31363a", 40)
    pen.line([(590, 85), (625, 78)], "#8fd0d6", 34)
    pen.box((395, 175, 605, 285), across("#22262a", "#565d63", "#1c2023"), radius=26)
    pen.arc((560, 150, 700, 300), -70, 90, "#31363a", 22)
    pen.polygon(
        smooth(
            [
                (400, 285),
                (600, 285),
                (650, 350),
                (660, 420),
                (660, 880),
                (640, 925),
                (500, 935),
                (360, 925),
                (340, 880),
                (340, 420),
                (350, 350),
            ]
        ),
        across("#c9481c", "#ff9148", "#f46f2a", "#a93a15"),
    )
    pen.line([(400, 380), (392, 620), (400, 860)], "#ffffff55", 22)
    pen.line([(372, 880), (628, 880)], "#9c3513", 6)
    pen.text("TIDEWREN", (515, 575), size=74, color="#fff4e6", turn=90)
    for step in range(3):
        y = 830 + 18 * step
        pen.line([(440, y), (470, y - 14), (500, y), (530, y + 14), (560, y)], "#fff4e6", 7)
    return pen.image()


def backpack() -> Image.Image:
    """Roll-top hiking pack in grey."""
    pen = Pen()
    grey = across("#4d5358", "#8c949a", "#6e767c", "#41464a")
    pen.arc((400, 40, 600, 230), 180, 360, "#2d3134", 26)
    for x in (215, 785):
        pen.blob([(x - 45, 560), (x + 45, 560), (x + 55, 860), (x - 55, 860)], down("#5b6267", "#3c4145"))
    pen.blob(
        [
            (290, 210),
            (500, 190),
            (710, 210),
            (780, 450),
            (790, 800),
            (730, 920),
            (500, 940),
            (270, 920),
            (210, 800),
            (220, 450),
        ],
        grey,
    )
    pen.blob(
        [(280, 130), (500, 118), (720, 130), (740, 210), (700, 262), (500, 275), (300, 262), (260, 210)],
        down("#9aa2a8", "#565d62"),
    )
    pen.line([(270, 205), (500, 222), (730, 205)], "#33383b", 8)
    for x in (360, 640):
        pen.box((x - 17, 240, x + 17, 520), "#d9682f", radius=8)
        pen.box((x - 30, 420, x + 30, 465), "#26292c", radius=8)
    pen.box((300, 540, 700, 850), across("#5a6166", "#959da3", "#62696e"), radius=56)
    pen.line([(335, 580), (500, 600), (665, 580)], "#26292c", 9)
    pen.line([(665, 580), (672, 620)], "#d9682f", 10)
    pen.polygon([(490, 640), (580, 770), (400, 770)], "#e8e4d8")
    pen.polygon([(550, 685), (615, 770), (500, 770)], "#cfcabb")
    return pen.image()


def lipstick() -> Image.Image:
    """Open lipstick in a rosy brown, its cap beside it."""
    pen = Pen()
    gold = across("#8f6a3c", "#f1d9a8", "#caa468", "#7a5930")
    velvet = across("#2e1420", "#6b3049", "#54243a", "#230f18")
    pen.polygon(
        [(395, 470), (395, 250), *smooth([(395, 250), (430, 190), (500, 140), (545, 130)], closed=False), (545, 470)],
        across("#8f4743", "#c97a70", "#b2625a", "#7c3a37"),
    )
    pen.blob([(400, 255), (450, 190), (540, 135), (540, 220), (470, 260)], "#d48a80")
    pen.box((375, 450, 565, 600), gold, radius=14)
    pen.box((350, 580, 590, 920), velvet, radius=26)
    pen.box((350, 580, 590, 612), gold, radius=10)
    pen.box((660, 420, 880, 920), velvet, radius=40)
    pen.box((660, 860, 880, 892), gold, radius=8)
    pen.text("VELVETQUINCE", (470, 768), size=29, color="#f1d9a8", face="DejaVuSerif-Bold", turn=90)
    pen.text("HUSH", (770, 640), size=52, color="#f1d9a8", face="DejaVuSerif-Italic")
    return pen.image()


def train_set() -> Image.Image:
    """Wooden railway: the blue engine leaves the tunnel under a small bridge; the box stands behind."""
    pen = Pen()
    pen.box((430, 90, 930, 470), down("#7a3b73", "#592653"), radius=18)
    pen.text("PLUMWAGON", (680, 190), size=66, color="#ffe9b8")
    pen.text("wooden railway", (680, 258), size=38, color="#f6d9ee", face="DejaVuSans-Oblique")
    pen.polygon([(560, 440), (660, 310), (740, 400), (800, 330), (890, 440)], "#8fc28a")
    pen.blob([(40, 740), (60, 520), (170, 380), (300, 400), (400, 540), (430, 740)], down("#7fb872", "#4f8a4a"))
    pen.polygon(smooth([(160, 745), (165, 620), (235, 560), (310, 620), (318, 745)]), "#3a2c22")
    pen.box((30, 745, 970, 800), down("#e9c691", "#c79a5c"), radius=14)
    for x in range(60, 960, 70):
        pen.box((x, 752, x + 26, 793), "#b48649", radius=4)
    pen.line([(40, 757), (960, 757)], "#9a6f39", 6)
    pen.line([(40, 788), (960, 788)], "#9a6f39", 6)
    for x, color, width in ((560, "#d8a33a", 150), (740, "#c6523e", 150)):
        pen.box((x - 20, 640, x + width, 735), down(color, "#8c5a2a"), radius=14)
        for wheel in (x + 15, x + width - 45):
            pen.ellipse((wheel - 24, 712, wheel + 36, 772), across("#6e4722", "#b98349"))
    pen.box((250, 590, 500, 735), down("#3f7fd0", "#27549a"), radius=24)
    pen.box((400, 520, 515, 735), down("#4c8fe0", "#27549a"), radius=16)
    pen.box((425, 550, 490, 610), "#fdf4d8", radius=8)
    pen.box((290, 520, 335, 600), down("#e9c691", "#b48649"), radius=8)
    pen.box((278, 505, 347, 535), "#c6523e", radius=10)
    for wheel in (300, 380, 465):
        pen.ellipse((wheel - 34, 705, wheel + 34, 773), across("#6e4722", "#b98349"))
        pen.ellipse((wheel - 10, 729, wheel + 10, 749), "#f0d9a8")
    pen.ellipse((500, 690, 530, 720), "#8b9299")
    return pen.image()


def ukulele() -> Image.Image:
    """Small guitar with four strings."""
    pen = Pen()
    wood = across("#a8642b", "#e3a45c", "#c98741", "#8f5222")
    pen.box((468, 90, 532, 520), across("#5d371a", "#875428", "#4c2c14"), radius=8)
    pen.blob([(450, 30), (550, 30), (545, 120), (520, 150), (480, 150), (455, 120)], down("#8a5529", "#5d371a"))
    pen.blob(
        [
            (500, 430),
            (610, 450),
            (640, 540),
            (600, 610),
            (680, 720),
            (670, 860),
            (500, 930),
            (330, 860),
            (320, 720),
            (400, 610),
            (360, 540),
            (390, 450),
        ],
        wood,
    )
    pen.ellipse((425, 590, 575, 740), "#e9c691")
    pen.ellipse((440, 605, 560, 725), "#2f1b0c")
    pen.box((410, 800, 590, 835), "#5d371a", radius=8)
    for y in range(150, 470, 52):
        pen.line([(470, y), (530, y)], "#d9d2c0", 5)
    for step in range(4):
        pen.line([(479 + 14 * step, 110), (470 + 20 * step, 815)], "#f7f1e1", 3)
    for x, y in ((435, 65), (435, 105), (565, 65), (565, 105)):
        pen.ellipse((x - 15, y - 12, x + 15, y + 12), "#f2ead6")
    return pen.image()


def telescope() -> Image.Image:
    """Telescope on a tripod."""
    pen = Pen()
    for x in (300, 500, 700):
        pen.line([(500, 520), (x, 930)], across("#6b4a2b", "#b98754"), 26)
    pen.ellipse((455, 470, 545, 570), down("#50565c", "#23272b"))

    def along(t: float, side: float) -> tuple[float, float]:
        turn = math.radians(-32)
        x, y = (t - 0.5) * 820, side
        return 500 + x * math.cos(turn) - y * math.sin(turn), 430 + x * math.sin(turn) + y * math.cos(turn)

    def tube(start: float, end: float, half: float, color: tuple[str, ...]) -> None:
        corners = [along(start, -half), along(end, -half), along(end, half), along(start, half)]
        pen.polygon(corners, across(*color, angle=58))

    tube(0.22, 0.98, 70, ("#20345c", "#5577b8", "#2c4779", "#16264a"))
    tube(0.9, 1.02, 84, ("#b08a3c", "#f0d68f", "#8f6d2b"))
    tube(0.08, 0.24, 46, ("#2a2e33", "#6a7179", "#1e2125"))
    tube(0.0, 0.09, 34, ("#b08a3c", "#f0d68f", "#8f6d2b"))
    tube(0.5, 0.56, 78, ("#b08a3c", "#f0d68f", "#8f6d2b"))
    x, y = along(0.73, 0)
    pen.text("STELLOWEN", (x, y), size=38, color="#f3ead2", face="DejaVuSerif-Bold", turn=32)
    return pen.image()
