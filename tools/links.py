"""Links between notebooks: `python tools/links.py` mends those to a room that got another number, and names all others
that lead nowhere."""
import json, os, re, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
link = re.compile(r'(\]\()(?!\w+:)([\w./-]+\.ipynb)(?=[)#])')

def room_of(path): return re.sub(r'^\d+[a-z]*_', '', Path(path).name)

def new_address(address, page, folder)->str: # '' if there is no such room
    "The address of a room that was moved on the shelf, as a link from `page`"
    found = [p for p in folder.glob('[0-9]*.ipynb') if room_of(p)==room_of(address)]
    return Path(os.path.relpath(found[0], page.parent)).as_posix() if len(found)==1 else ''

def lost_links(page)->list:
    "Addresses of notebooks that `page` links to and that are not there"
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    text = '\n'.join(''.join(c['source']) for c in cells if c['cell_type']=='markdown')
    return [address for _,address in link.findall(text) if not (page.parent/address).exists()]

def pages(folder): return [p for p in sorted(folder.rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]

def lost(folder=root/'nbs')->list:
    "links between notebooks lead to notebooks: python tools/links.py"
    return [f'{p.relative_to(folder)}: {o}' for p in pages(folder) for o in lost_links(p)]

def mend(folder=root/'nbs'):
    "Write links to rooms that were moved anew"
    for p in pages(folder):
        addresses = {o:new_address(o, p, folder) for o in lost_links(p)}
        if not any(addresses.values()): continue
        def moved(m): return m[1]+(addresses.get(m[2]) or m[2])
        p.write_text(link.sub(moved, p.read_text(encoding='utf-8')), encoding='utf-8')

if __name__=='__main__':
    mend()
    errors = lost()
    print(*errors, sep='\n')
    sys.exit(bool(errors))
