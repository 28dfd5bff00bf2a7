"Cards of tricks, on the page of the room that defines them"
import json, re
from .project import text_of

def card(trick)->str:
    "The card of a trick, below the anchors by which people look for it"
    names = dict.fromkeys([trick.name, trick.source.__name__])
    return ''.join(f'<a id="{o}"></a>' for o in names) + f'\n\n{trick._repr_markdown_()}'

def cards(room, shown)->str:
    "Cards of the tricks of `room`, without those in `shown`, the text of its page"
    import fastai_tricks.all as ours # fills `tricks`
    return '\n\n'.join(card(o) for o in ours.tricks.values() if o.home==room and f'**`{o.name}`**' not in shown)

def asks_for_cards(c):
    "Is a cell the heading below which cards stand?"
    return c['cell_type']=='markdown' and re.match(r'#+ As (a trick|tricks)', text_of(c['source']))

def add_cards(nb, room):
    "Put the cards of `room` into its notebook: below the heading 'As a trick', at the end where there is none"
    shown = json.dumps([c.get('outputs', []) for c in nb['cells']])
    text = cards(room, shown)
    if not text: return
    at = next((i for i,c in enumerate(nb['cells']) if asks_for_cards(c)), None)
    if at is None: at,text = len(nb['cells'])-1,f'## As a trick\n\n{text}'
    nb['cells'].insert(at+1, dict(cell_type='markdown', metadata={}, source=text, id=f'cards-{room}'))
