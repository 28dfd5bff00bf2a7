"""The shelf of notebooks at a glance, for CONTRIBUTING.md: `python tools/shelf.py` writes

  nbs/images/shelf.svg    a board for each chapter, its rooms on it, what it imports
  CONTRIBUTING.md         the table of what stands where, between the marks"""
import html, json, re, sys, textwrap
from dataclasses import dataclass, field
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
from pages.project import read, text_of, write

picture,page = root/'nbs'/'images'/'shelf.svg',root/'CONTRIBUTING.md'
begin,end = '<!-- shelf -->','<!-- /shelf -->'

# From low numbers to high ones: the first number of each board, its name, what stands on it
boards = [
    (0,  'base',     'what every trick stands on: a run as a value, callbacks, cards, laws'),
    (10, 'data',     'images, in memory and in folders'),
    (20, 'train',    'efficient training: schedules, optimizers, precision, checkpoints, processes'),
    (40, 'model',    'tweaks of the network'),
    (50, 'target',   'what changes inputs or labels: smoothing, mixing, distillation'),
    (60, 'recipe',   'whole trainings, from a file'),
    (70, 'evidence', 'which tricks pay: runs, intervals, figures'),
    (80, 'transfer', 'detection and segmentation on a pretrained network'),
    (90, 'cli',      'the command line: arguments and words only'),
]

wishes = {
    'what all callbacks share: their order, their chance, errors':'base.callback',
    'what fastai does not allow without a wrap':'base.wrap',
    'a law that every trick must keep':'base.laws',
    'a figure':'base.show',
    'how images get into batches':'data.memory',
    'the learning rate over time':'train.schedule',
    'an optimizer':'train.optim',
    'what a checkpoint holds':'train.state',
    'several processes':'train.processes',
    'a ResNet':'model.build',
    'the loss that smoothing, mixing and distillation share':'target.losses',
    'a recipe':'recipe',
    'what an ablation runs':'evidence.plan',
    'an interval':'evidence.interval',
    'the report':'evidence.report',
    'words of the command line':'cli',
}

# ---- what is on the shelf

@dataclass
class Room:
    "A numbered notebook and its module"
    name:str # Such as 'target.mixup'
    file:str # Name of its notebook
    line:str # What it is about
    imports:list = field(default_factory=list) # Names of rooms

    @property
    def number(self): return int(re.match(r'\d+', self.file)[0])

    @property
    def board(self): return [name for first,name,_ in boards if first<=self.number][-1]

def read_room(p):
    "The room of a notebook, None if it has none"
    sources = [text_of(c['source']) for c in json.loads(read(p))['cells']]
    name = next((m[1] for o in sources if (m := re.search(r'^#\|\s*default_exp:?\s+(\S+)', o, re.M))), None)
    if name is None: return None
    line = re.search(r'^> *(.+)', sources[0], re.M)
    exported = '\n'.join(o for o in sources if re.search(r'^#\|\s*exporti?\b', o, re.M))
    imports = re.findall(r'^ *from fastai_tricks\.([\w.]+) import', exported, re.M)
    return Room(name, p.name, line[1] if line else '', imports)

def rooms(folder=root/'nbs')->list:
    "All rooms, from low numbers to high ones"
    files = sorted(folder.glob('[0-9]*.ipynb'), key=lambda p: re.match(r'(\d+)(\w?)', p.name).groups())
    return [o for p in files if (o := read_room(p))]

# ---- the picture

width,margin,row,head = 980,30,19,44 # in pixels
ink,soft,rule,ground = '#24292f','#57606a','#d0d7de','#ffffff'
colors = '#6a994e #00798c #e09f1f #7f5539 #d1495b #5e548e #30638e #bc6c25 #57606a'.split()

def text(x, y, words, size=13, color=ink, **style):
    "A line of text"
    more = ''.join(f' {k.replace("_", "-")}="{v}"' for k,v in style.items())
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}"{more}>{html.escape(words)}</text>'

def box(y, width, height, color, opacity=1):
    "A filled rectangle that begins at the margin"
    return f'<rect x="{margin}" y="{y}" width="{width}" height="{height}" fill="{color}" fill-opacity="{opacity}"/>'

def short(words, n): return textwrap.shorten(words.replace('`', ''), n, placeholder=' …')

def draw_room(room, x, y):
    "Number, name and line of a room"
    number,_,name = room.file.removesuffix('.ipynb').partition('_')
    name = name.rpartition('.')[2]
    return [text(x+26, y, number, 12, soft, text_anchor='end'), text(x+34, y, name, 13, font_weight=600),
            text(x+148, y, short(room.line, 53), 12, soft)]

def draw_board(name, line, mine, below, color, top):
    "A board: a heading, rooms in two columns, and from which boards it imports"
    half = (len(mine)+1)//2
    height = head+row*half+8
    res = [box(top, width-margin-8, height, color, opacity=.07),
           box(top, 5, height, color),
           text(margin+16, top+25, name, 17, color, font_weight=700),
           text(margin+116, top+25, line, 13)]
    if below: res.append(text(width-20, top+25, f"imports {', '.join(below)}", 12, soft, text_anchor='end'))
    for i,o in enumerate(mine):
        column,place = divmod(i, half)
        res += draw_room(o, margin+12 + (width-margin-20)//2*column, top+head+14 + row*place)
    return res,height

def imported_boards(mine, board_of)->list:
    "Names of other boards that the rooms `mine` import, from low to high"
    found = {board_of[o] for r in mine for o in r.imports if o in board_of}
    return [name for _,name,_ in boards if name in found and name!=mine[0].board]

def svg(all_rooms)->str:
    "The picture: boards from the highest numbers down to the lowest, and an arrow beside them"
    board_of = {o.name:o.board for o in all_rooms}
    parts,top = [],40
    for (_,name,line),color in reversed(list(zip(boards, colors))):
        mine = [o for o in all_rooms if o.board==name]
        if not mine: continue
        drawn,height = draw_board(name, line, mine, imported_boards(mine, board_of), color, top)
        parts += drawn
        top += height+10
    arrow = [text(margin, 24, 'Imports go down: from a higher number to a lower one, never up', 13, font_weight=600),
             f'<path d="M14 40V{top-18}m-6 -9l6 9l6 -9" fill="none" stroke="{ink}" stroke-width="2"/>']
    start = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
             'font-family="-apple-system, \'Segoe UI\', Helvetica, Arial, sans-serif">')
    return '\n'.join([start, f'<rect width="{width}" height="{top}" rx="8" fill="{ground}" stroke="{rule}"/>',
                      *arrow, *parts, '</svg>']) + '\n'

# ---- the table

def table(all_rooms)->str:
    "What stands where, in Markdown"
    file_of = {o.name:o.file for o in all_rooms}
    lines = [f'|{wish}|[{name}](nbs/{file_of[name]})|' for wish,name in wishes.items() if name in file_of]
    return '\n'.join(['|I want to change|room|', '|---|---|', *lines])

def with_table(markdown, all_rooms)->str:
    "CONTRIBUTING.md with the table of now"
    before,_,rest = markdown.partition(begin)
    after = rest.partition(end)[2]
    return f'{before}{begin}\n{table(all_rooms)}\n{end}{after}'

def lost_wishes(all_rooms)->list:
    "Rooms of `wishes` that are not there"
    names = {o.name for o in all_rooms}
    return [o for o in wishes.values() if o not in names]

def stale()->list:
    "the shelf in CONTRIBUTING equals the notebooks: python tools/shelf.py"
    found = rooms()
    new = {picture:svg(found), page:with_table(read(page), found)}
    differ = [p.name for p,content in new.items() if not p.exists() or read(p)!=content]
    return differ + [f'no room {o}, named in `wishes` of tools/shelf.py' for o in lost_wishes(found)]

def main():
    found = rooms()
    write(picture, svg(found))
    write(page, with_table(read(page), found))

if __name__=='__main__': main()
