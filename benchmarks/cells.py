"""A second kind of pictures: single blood cells, cut from the BCCD data by their boxes (MIT licence).

    python -m benchmarks.cells BCCD FOLDER     cuts the cells below BCCD into FOLDER/train/CLASS and FOLDER/valid/CLASS
    fastai-tricks ablate --data FOLDER         then asks which tricks help on them

BCCD is a folder with Annotations, ImageSets and JPEGImages. The pictures of its list `val` (else `test`) are held out, so no picture has cells on both sides."""
import sys, xml.etree.ElementTree as ET
from pathlib import Path

def cut(bccd, out, least=8, margin=.1):
    "Write each box as a picture of its own, with a margin; boxes of less than `least` pixels are left out. Returns (written, left out)"
    from PIL import Image
    bccd,out,n,odd = Path(bccd),Path(out),0,0
    sets = {p.stem:set(p.read_text().split()) for p in (bccd/'ImageSets'/'Main').glob('*.txt')}
    held = sets.get('val') or sets.get('test')
    if not held: raise SystemExit(f"{bccd}/ImageSets/Main has no list `val` or `test`.")
    for f in sorted((bccd/'Annotations').glob('*.xml')):
        pic = bccd/'JPEGImages'/f'{f.stem}.jpg'
        if not pic.exists(): continue
        im = Image.open(pic).convert('RGB')
        for k,o in enumerate(ET.parse(f).iter('object')):
            l,t,r,b = (int(float(o.find('bndbox').find(e).text)) for e in ('xmin','ymin','xmax','ymax'))
            l,t,r,b = max(0, l),max(0, t),min(im.width, r),min(im.height, b)
            if r-l<least or b-t<least: odd += 1; continue
            dx,dy = round((r-l)*margin),round((b-t)*margin)
            d = out/('valid' if f.stem in held else 'train')/o.find('name').text
            d.mkdir(parents=True, exist_ok=True)
            im.crop((max(0, l-dx), max(0, t-dy), min(im.width, r+dx), min(im.height, b+dy))).save(d/f'{f.stem}_{k}.png')
            n += 1
    return n,odd

if __name__=='__main__':
    if len(sys.argv)!=3: raise SystemExit(__doc__)
    print('{} cells cut, {} boxes too small'.format(*cut(*sys.argv[1:])))
