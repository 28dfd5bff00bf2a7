"""A second kind of images: single blood cells, cut from the BCCD data by their boxes (MIT licence).

    python -m benchmarks.cells BCCD FOLDER     cuts the cells below BCCD into FOLDER/train/CLASS and FOLDER/valid/CLASS
    fastai-tricks ablate --data FOLDER         then asks which tricks help on them

BCCD is a folder with Annotations, ImageSets and JPEGImages.
The images of its list `val` (else `test`) are held out, so no image has cells on both sides."""
import sys, xml.etree.ElementTree as ET
from pathlib import Path

def boxes_of(file, image):
    "Pairs of label and box (left, top, right, bottom) in an annotation, cut off at the border of the image"
    for o in ET.parse(file).iter('object'):
        left,top,right,bottom = (int(float(o.find('bndbox').find(k).text)) for k in ('xmin', 'ymin', 'xmax', 'ymax'))
        yield o.find('name').text,(max(0, left), max(0, top), min(image.width, right), min(image.height, bottom))

def with_margin(box, image, margin):
    "A box made wider on each side by a share of it, within the image"
    left,top,right,bottom = box
    dx,dy = round((right-left)*margin),round((bottom-top)*margin)
    return max(0, left-dx), max(0, top-dy), min(image.width, right+dx), min(image.height, bottom+dy)

def cut(bccd, out, least=8, margin=.1):
    """Write each box as an image of its own, with a margin; boxes of less than `least` pixels are left out.
    Returns (written, left out)"""
    from PIL import Image
    bccd,out = Path(bccd),Path(out)
    written = small = 0
    sets = {p.stem:set(p.read_text().split()) for p in (bccd/'ImageSets'/'Main').glob('*.txt')}
    held = sets.get('val') or sets.get('test')
    if not held: raise SystemExit(f"{bccd}/ImageSets/Main has no list `val` or `test`.")
    for f in sorted((bccd/'Annotations').glob('*.xml')):
        file = bccd/'JPEGImages'/f'{f.stem}.jpg'
        if not file.exists(): continue
        image = Image.open(file).convert('RGB')
        for k,(label,box) in enumerate(boxes_of(f, image)):
            left,top,right,bottom = box
            if right-left<least or bottom-top<least:
                small += 1
                continue
            folder = out/('valid' if f.stem in held else 'train')/label
            folder.mkdir(parents=True, exist_ok=True)
            image.crop(with_margin(box, image, margin)).save(folder/f'{f.stem}_{k}.png')
            written += 1
    return written,small

if __name__=='__main__':
    if len(sys.argv)!=3: raise SystemExit(__doc__)
    print('{} cells cut, {} boxes too small'.format(*cut(*sys.argv[1:])))
