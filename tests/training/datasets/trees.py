"""Small hand-made trees of every public dataset, free of faults but full of what misleads a careless reader.

Every box lies on a black rectangle of an otherwise white picture, and nothing else is black.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from xray_training.datasets.fault import Fault
from xray_training.datasets.record import LabelledBox, ScanRecord
from xray_training.datasets.sources import Reader
from xray_training.datasets.writers.parquet import write_parquet

from tests.training.folders import Corners, Drawn, dark_on_white, write_folder

Item = tuple[str, Corners]

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def heard(read: Reader, root: Path, *, split: str | None = None) -> tuple[list[ScanRecord], list[Fault]]:
    """What a reader gives and tells when it may go on after a fault."""
    faults: list[Fault] = []
    return list(read(root, split=split, report=faults.append)), faults


def picture(path: Path, size: tuple[int, int], *boxes: Corners) -> Path:
    """A white picture with a black rectangle in each box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(dark_on_white(*size, boxes)).save(path, quality=95)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def document(path: Path, content: Any) -> Path:
    return text(path, json.dumps(content))


def litter(folder: Path) -> None:
    """What file managers leave behind."""
    for name in ("._a.jpg", "._a.json", "._a.xml", "._a.txt", "desktop.ini", "Thumbs.db", ".DS_Store"):
        text(folder / name, "no picture")


# --- COCO and its kin


def coco_file(
    images: Sequence[tuple[str, tuple[int, int], Sequence[Item]]],
    names: Sequence[str],
    *,
    first_image: int = 1,
) -> dict[str, Any]:
    """A COCO document of images (file, size, items), its categories numbered from 1."""
    annotations = []
    for number, (_, _, items) in enumerate(images, start=first_image):
        for name, (left, top, right, bottom) in items:
            bbox = [left, top, right - left, bottom - top]
            annotations.append({"image_id": number, "category_id": names.index(name) + 1, "bbox": bbox, "iscrowd": 0})
    return {
        "images": [
            {"id": number, "file_name": file, "width": size[0], "height": size[1]}
            for number, (file, size, _) in enumerate(images, start=first_image)
        ],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }


def coco_tree(root: Path) -> Path:
    """The layout of our own export's, of a set whose class names need only be spelt in one way."""
    names = ["Gun", "power-bank", "Glass Bottle"]
    splits = {"train": [("0001.png", (200, 100), [("power-bank", (20, 10, 60, 90)), ("Gun", (100, 30, 190, 50))])]}
    splits["val"] = [("0002.png", (200, 100), [])]
    for split, images in splits.items():
        document(root / "annotations" / f"instances_{split}.json", coco_file(images, names))
        for file, size, items in images:
            picture(root / "images" / split / file, size, *(box for _, box in items))
    litter(root / "annotations")
    return root


PIDRAY = [
    "Baton", "Pliers", "Hammer", "Powerbank", "Scissors", "Wrench", "Gun", "Bullet", "Sprayer", "HandCuffs", "Knife",
    "Lighter",
]  # fmt: skip


def pidray_tree(root: Path) -> Path:
    """The id of an image is used again in every part."""
    parts: dict[str, tuple[str, list[tuple[str, tuple[int, int], list[Item]]]]] = {
        "train": ("train", [("xray_00049.png", (448, 300), [("HandCuffs", (40, 200, 120, 260))])]),
        "easy": ("test_easy", [("xray_easy00050.png", (500, 1040), [("Gun", (100, 30, 420, 90))])]),
        "hard": (
            "test_hard",
            [("xray_hard00051.png", (448, 300), [("Knife", (1, 2, 30, 9)), ("Gun", (60, 70, 90, 99))])],
        ),
        "hidden": ("test_hidden", [("xray_hidden00052.png", (448, 300), [("Sprayer", (200, 20, 260, 200))])]),
    }
    for folder, (part, images) in parts.items():
        content = coco_file(images, PIDRAY, first_image=0)
        for annotation in content["annotations"]:
            left, top, width, height = annotation["bbox"]
            right, bottom = left + width, top + height
            annotation["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
        document(root / "annotations" / f"xray_{part}.json", content)
        for file, size, items in images:
            picture(root / folder / file, size, *(box for _, box in items))
    litter(root / "train")
    return root


CLCXRAY = [
    "Blade", "Scissors", "Knife", "Dagger", "SwissArmyKnife", "PlasticBottle", "Cans", "vacuum_cup", "CartonDrinks",
    "glassBottle", "SprayCans", "Tin",
]  # fmt: skip


def clcxray_tree(root: Path) -> Path:
    """Names in other cases than Luggage X-ray's, and the image whose file name the annotations lost."""
    parts: dict[str, list[tuple[str, tuple[int, int], list[Item]]]] = {
        "train": [(".png", (300, 200), [("Blade", (200, 20, 280, 60)), ("vacuum_cup", (10, 100, 40, 190))])],
        "val": [("20_40_04_141.png", (300, 200), [("glassBottle", (50, 60, 90, 180))])],
        "test": [("20_40_04_190.png", (300, 200), [])],
    }
    for split, images in parts.items():
        document(root / "annotations" / f"instances_{split}2017.json", coco_file(images, CLCXRAY, first_image=7547))
        for file, size, items in images:
            name = "20_40_04_140.png" if file == ".png" else file
            picture(root / f"{split}2017" / name, size, *(box for _, box in items))
    return root


CARGOXRAY = [
    "auto_parts", "bags", "bicycle", "car_wheels", "clothes", "fabrics", "lamps", "office_supplies", "shoes",
    "spare_parts", "tableware", "textiles", "tools", "toys", "unknown",
]  # fmt: skip


def cargoxray_tree(root: Path) -> Path:
    """Super-category 0, polygons, an image without annotations, and one upload on both sides of the split."""
    parts: dict[str, list[tuple[str, tuple[int, int], list[Item]]]] = {
        "train": [
            ("Pictures-1-1-_jpg.rf.0a1b2c.jpg", (320, 320), [("textiles", (20, 160, 200, 300))]),
            ("Pictures-1-2-_jpg.rf.3d4e5f.jpg", (320, 320), []),
        ],
        "valid": [("Pictures-1-1-_jpg.rf.99ff00.jpg", (320, 320), [("car_wheels", (10, 20, 90, 60))])],
        "test": [("Pictures-2-7-_jpg.rf.778899.jpg", (320, 320), [("shoes", (150, 10, 310, 50))])],
    }
    for folder, images in parts.items():
        content = coco_file(images, CARGOXRAY, first_image=0)
        content["categories"] = [
            {"id": 0, "name": "xray_objects", "supercategory": "none"},
            *({**category, "supercategory": "xray_objects"} for category in content["categories"]),
        ]
        for annotation in content["annotations"]:
            left, top, width, height = annotation["bbox"]
            right, bottom = left + width, top + height
            annotation["segmentation"] = [[left, top, right, top, right, bottom, left, bottom, left, top]]
        document(root / folder / "_annotations.coco.json", content)
        for file, size, items in images:
            picture(root / folder / file, size, *(box for _, box in items))
    text(root / "README.roboflow.txt", "CargoXray")
    return root


# --- LabelMe and its kin


def rectangles(file: str, size: tuple[int, int], items: Sequence[Item]) -> dict[str, Any]:
    """A LabelMe document, its corners given lower right first."""
    shapes = [
        {"label": name, "shape_type": "rectangle", "points": [[right, bottom], [left, top]]}
        for name, (left, top, right, bottom) in items
    ]
    return {"imagePath": file, "imageWidth": size[0], "imageHeight": size[1], "shapes": shapes}


def labelme_tree(root: Path) -> Path:
    """Scans in the folder itself and in one for validation; a rectangle, a polygon and a circle."""
    circle = {"label": "Coin", "shape_type": "circle", "points": [[50, 40], [50, 50]]}
    polygon = {"label": "glass bottle", "shape_type": "polygon", "points": [[70, 20], [110, 20], [110, 75], [70, 75]]}
    first = rectangles("bag.png", (120, 80), [("Power Bank", (10, 10, 30, 20))])
    document(root / "bag.json", {**first, "shapes": [*first["shapes"], polygon]})
    picture(root / "bag.png", (120, 80), (10, 10, 30, 20), (70, 20, 110, 75))
    document(root / "valid" / "other.json", {**rectangles("other.png", (120, 80), []), "shapes": [circle]})
    picture(root / "valid" / "other.png", (120, 80), (40, 30, 60, 50))
    litter(root)
    return root


KNIFE = "Knife3_B2_L4A_C1_Loc1_phi1_th1"


def stcray_tree(root: Path) -> Path:
    """Sizes off by one, reversed corners, folders that are no labels, repeats, scans without a threat, litter."""
    train, test = root / "STCray_TrainSet", root / "STCray_TestSet"
    knife, syringe, gun = (200, 50, 260, 250), (30, 20, 90, 60), (10, 100, 150, 140)
    scans: list[tuple[Path, str, list[Item]]] = [
        (train, "Class 3_3D Gun/a", [("3D printed gun", gun)]),
        (train, f"Class 4_Knife/{KNIFE}_1", [("Knife", knife)]),
        (train, f"Class 4_Knife/{KNIFE}_2", [("Knife", (210, 60, 270, 260))]),
        (train, "Class 9_Injection/a", [("Syringe", syringe)]),
        (train, "Class 21_Multilabel Threat/b", [("Battery", gun), ("Other Sharp Item", knife)]),
        (train, f"Class 21_Multilabel Threat/{KNIFE.replace('B2', 'B9')}", [("Knife", (205, 50, 265, 250))]),
        (train, "Class 22_Non Threat/c", []),
        (test, "Class 4_Knife/2011-01-01-081118-105", [("Knife", (50, 60, 120, 90))]),
    ]
    for part, stem, items in scans:
        file = part / "Images" / f"{stem}.jpg"
        picture(file, (400, 300), *(box for _, box in items))
        if items:
            document(part / "Json_BB" / f"{stem}.json", rectangles(file.name, (401, 301), items))
        litter(file.parent)
        litter(part / "Images" / ".AppleDouble")
    text(train / "Images" / ".AppleDouble" / "a.jpg", "no picture")
    return root


# --- lines of text


def lines_of(file: str, items: Sequence[Item]) -> str:
    return "".join(f"{file} {name} {' '.join(map(str, box))}\n" for name, box in items)


def opixray_tree(root: Path) -> Path:
    """A ``.TIFF`` whose lines say ``.jpg``, and the lists by occlusion."""
    scans: list[tuple[str, str, tuple[int, int], list[Item]]] = [
        ("train", "009849.jpg", (245, 190), [("Folding_Knife", (120, 80, 160, 150))]),
        ("train", "009850.TIFF", (245, 190), [("Multi-tool_Knife", (10, 20, 40, 30))]),
        ("test", "009910.jpg", (245, 190), [("Utility_Knife", (50, 5, 60, 90)), ("Scissor", (100, 100, 200, 180))]),
        ("test", "009911.jpg", (245, 190), [("Straight_Knife", (5, 50, 90, 60))]),
    ]
    for split, file, size, items in scans:
        stem = Path(file).stem
        picture(root / split / f"{split}_image" / file, size, *(box for _, box in items))
        text(root / split / f"{split}_annotation" / f"{stem}.txt", lines_of(f"{stem}.jpg", items))
        litter(root / split / f"{split}_image")
        litter(root / split / f"{split}_annotation")
    text(root / "train" / "train_knife.txt", "009849.jpg\n009850.TIFF\n")
    text(root / "test" / "test_knife.txt", "009910.jpg\n009911.jpg\n")
    text(root / "test" / "test_knife-1.txt", "009911.jpg\n")
    text(root / "test" / "test_knife-3.txt", "009910\n")
    return root


def hixray_tree(root: Path) -> Path:
    scans: list[tuple[str, str, list[Item]]] = [
        ("train", "img_7", [("Nonmetallic_Lighter", (10, 20, 60, 45)), ("Mobile_Phone", (100, 10, 140, 75))]),
        ("test", "img_8", [("Portable_Charger_2", (70, 5, 90, 70))]),
    ]
    for split, stem, items in scans:
        picture(root / split / f"{split}_image" / f"{stem}.jpg", (150, 80), *(box for _, box in items))
        text(root / split / f"{split}_annotation" / f"{stem}.txt", lines_of(f"{stem}.jpg", items))
        text(root / split / f"{split}_name.txt", f"{stem}\n")
    return root


# --- Pascal VOC and its kin


def xml_of(file: str, size: tuple[int, int] | None, items: Sequence[Item]) -> str:
    objects = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, (left, top, right, bottom) in items
    )
    extent = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    return f"<annotation><filename>{file}</filename>{extent}{objects}</annotation>"


def voc_tree(root: Path) -> Path:
    """Two scans in the lists and one outside; one file claims a size of 0."""
    scans: list[tuple[str, tuple[int, int] | None, list[Item]]] = [
        ("scan_0049", (160, 90), [("Knife", (20, 50, 150, 60)), ("power bank", (10, 5, 30, 40))]),
        ("scan_0050", (0, 0), [("gun", (100, 10, 140, 80))]),
        ("scan_0051", None, []),
    ]
    for stem, declared, items in scans:
        picture(root / "JPEGImages" / f"{stem}.jpg", (160, 90), *(box for _, box in items))
        text(root / "Annotations" / f"{stem}.xml", xml_of(f"{stem}.jpg", declared, items))
    text(root / "ImageSets" / "Main" / "train.txt", "scan_0049\n")
    text(root / "ImageSets" / "Main" / "test.txt", "scan_0050\n")
    litter(root / "Annotations")
    litter(root / "JPEGImages")
    return root


def sixray_tree(root: Path) -> Path:
    """Pictures in numbered folders, negatives without a file, a hammer that no table knows, two image sets."""
    positives: dict[str, tuple[str, list[Item]]] = {
        "P00003": ("20", [("Gun", (10, 60, 90, 110))]),
        "P00060": ("20", [("Knife", (150, 10, 160, 100)), ("Hammer", (20, 20, 60, 30))]),
    }
    for stem, (folder, items) in positives.items():
        picture(root / folder / f"{stem}.jpg", (180, 120), *(box for _, box in items))
        text(root / "Annotation" / f"{stem}.xml", xml_of(f"{stem}.jpg", (180, 120), items))
    picture(root / "20" / "P00060.jpg", (180, 120), (150, 10, 160, 100))
    picture(root / "0" / "N0210755.jpg", (180, 120))
    picture(root / "13" / "N0210756.jpg", (180, 120))
    header = "name,Gun,Knife,Wrench,Pliers,Scissors\n"
    text(root / "ImageSet" / "10" / "train.csv", f"{header}P00003,1,-1,-1,-1,-1\nN0210755,-1,-1,-1,-1,-1\n")
    text(root / "ImageSet" / "10" / "test.csv", f"{header}P00060,-1,1,-1,-1,-1\n")
    text(root / "ImageSet" / "100" / "train.csv", f"{header}P00003,1,-1,-1,-1,-1\nN0210756,-1,-1,-1,-1,-1\n")
    return root


def eds_tree(root: Path) -> Path:
    """Two domains as XML, one as lines; the same ids in each."""
    item: list[Item] = [("smallelectronicequipmen", (20, 60, 140, 85))]
    for domain in ("domain1", "domain2"):
        for stem, items in (("0001", item), ("0002", [("glassbottle", (100, 5, 120, 80))])):
            picture(root / domain / "images" / f"{stem}.jpg", (150, 90), *(box for _, box in items))
            text(root / domain / "labels" / f"{stem}.xml", xml_of(f"{stem}.jpg", (150, 90), items))
        text(root / domain / "train.txt", "0001\n")
        text(root / domain / "val.txt", "0002\n")
    picture(root / "domain3" / "image" / "0001.jpg", (150, 90), (20, 60, 140, 85), (5, 5, 30, 50))
    lines = lines_of("0001.jpg", [("device", (20, 60, 140, 85)), ("plasticbottle", (5, 5, 30, 50))])
    text(root / "domain3" / "txt" / "0001.txt", lines)
    return root


# --- the others


def luggage_line(url: str, said: str) -> str:
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "detect blade ; Cans ; PlasticBottle ; knife"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]},
        {"role": "assistant", "content": said},
    ]
    return json.dumps({"messages": messages}) + "\n"


def luggage_xray_tree(root: Path) -> Path:
    """Boxes by rows and columns of 1024, class names with spaces, and a scan without items."""
    bottle, blade = "<loc0256><loc0512><loc0512><loc0896> Plastic Bottle", "<loc0768><loc0064><loc0896><loc0128> blade"
    lines = [
        luggage_line("https://images.test/set/20_40_04_140_png.rf.aa11.jpg?sign=1", f"{bottle} ; {blade}"),
        luggage_line("https://images.test/set/20_40_04_141_png.rf.bb22.jpg", ""),
    ]
    text(root / "_annotations.train.jsonl", "".join(lines))
    other = luggage_line("https://images.test/set/20_40_04_140_png.rf.cc33.jpg", bottle)
    text(root / "_annotations.valid.jsonl", other)
    places = (320, 120, 560, 240), (40, 360, 80, 420)
    picture(root / "images" / "20_40_04_140_png.rf.aa11.jpg", (640, 480), *places)
    picture(root / "images" / "20_40_04_141_png.rf.bb22.jpg", (640, 480))
    picture(root / "images" / "20_40_04_140_png.rf.cc33.jpg", (640, 480), places[0])
    return root


def dvxray_tree(root: Path) -> Path:
    """Views of different sizes, a box that is the word "difficult", and the word "None" for a clean bag."""
    positive, negative = root / "DvXray_Positive_Samples", root / "DvXray_Negative_Samples"
    gun = {"label": "Gun", "ol_bb": [10, 20, 60, 90], "sd_bb": "difficult"}
    bat = {"label": "Bat", "ol_bb": [100, 150, 190, 160], "sd_bb": [5, 100, 95, 110]}
    document(positive / "P03152.json", {"name": "P03152", "objects": [gun, bat]})
    picture(positive / "P03152_OL.png", (200, 180), (10, 20, 60, 90), (100, 150, 190, 160))
    picture(positive / "P03152_SD.png", (100, 180), (5, 100, 95, 110))
    document(negative / "N00001.json", {"name": "N00001", "objects": "None"})
    picture(negative / "N00001_OL.png", (200, 180))
    picture(negative / "N00001_SD.png", (100, 180))
    litter(positive)
    return root


def compass_xp_tree(root: Path) -> Path:
    """One object in two poses and another; grey renderings beside the coloured ones."""
    rows = ["basename\tclass\tinstance\tpose\tdangerous", "0049\thammer\t7\t1\tTrue", "0050\thammer\t7\t2\tTrue"]
    rows.append("0051\tbutternut_squash\t8\t1\tFalse")
    text(root / "meta.txt", "\n".join(rows) + "\n")
    for stem in ("0049", "0050", "0051"):
        for folder in ("Colour", "Grey"):
            picture(root / folder / f"{stem}.png", (60, 40))
    return root


# --- YOLO and what we write ourselves


def rows_of(size: tuple[int, int], boxes: Sequence[tuple[int, Corners]]) -> str:
    """YOLO's lines: class, centre and extent as shares of the picture."""
    width, height = size
    return "".join(
        f"{number} {(left + right) / 2 / width} {(top + bottom) / 2 / height} "
        f"{(right - left) / width} {(bottom - top) / height}\n"
        for number, (left, top, right, bottom) in boxes
    )


def yolo_tree(root: Path) -> Path:
    """Roboflow's layout, which is nearly that of a domain of EDS, and a picture without a label file."""
    text(root / "data.yaml", "names: [Gun, power-bank]\ntrain: ../train/images\nval: ../valid/images\n")
    first = [(1, (20, 10, 60, 90)), (0, (100, 30, 190, 50))]
    picture(root / "train/images/bag_1_png.rf.0a.png", (200, 100), *(box for _, box in first))
    text(root / "train/labels/bag_1_png.rf.0a.txt", rows_of((200, 100), first))
    picture(root / "train/images/bag_2_png.rf.0b.png", (200, 100))
    picture(root / "valid/images/bag_3_png.rf.0c.png", (200, 100), (10, 5, 30, 80))
    text(root / "valid/labels/bag_3_png.rf.0c.txt", rows_of((200, 100), [(0, (10, 5, 30, 80))]))
    litter(root / "train/images")
    litter(root / "train/labels")
    return root


def annotated_yolo_tree(root: Path) -> Path:
    """Two sources that annotate different labels."""
    scans = [
        Drawn("annotated_yolo", (("knife", (30, 20, 60, 40)), ("gun", (70, 10, 110, 20)))),
        Drawn("annotated_yolo", split="val"),
        Drawn("annotated_yolo", (("gun", (5, 30, 25, 70)),), split="test"),
    ]
    return write_folder(root, {"annotated_yolo": ["gun", "knife"]}, scans)


def parquet_tree(root: Path) -> Path:
    """Three splits, as our own export packs them."""
    places: dict[str, Sequence[Corners]] = {"train": [(20, 10, 60, 90)], "val": [], "test": [(100, 30, 190, 50)]}
    with TemporaryDirectory() as folder:
        records = [
            ScanRecord(
                image=picture(Path(folder) / f"{split}.png", (200, 100), *boxes),
                source="parquet",
                scanner="north",
                split=split,
                group=f"bag {split}",
                block=f"run {split}",
                boxes=tuple(LabelledBox("gun", x1 / 200, y1 / 100, x2 / 200, y2 / 100) for x1, y1, x2, y2 in boxes),
                annotated=frozenset({"gun"}),
            )
            for split, boxes in places.items()
        ]
        for _ in write_parquet(records, root):
            pass
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "stcray": stcray_tree,
    "luggage_xray": luggage_xray_tree,
    "cargoxray": cargoxray_tree,
    "opixray": opixray_tree,
    "hixray": hixray_tree,
    "pidray": pidray_tree,
    "sixray": sixray_tree,
    "clcxray": clcxray_tree,
    "dvxray": dvxray_tree,
    "eds": eds_tree,
    "compass_xp": compass_xp_tree,
    "coco": coco_tree,
    "voc": voc_tree,
    "labelme": labelme_tree,
    "yolo": yolo_tree,
    "annotated_yolo": annotated_yolo_tree,
    "parquet": parquet_tree,
}
