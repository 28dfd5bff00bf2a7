"The picture of the shelf, from notebooks that are made up"
import json, sys
from pathlib import Path
from xml.etree import ElementTree
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import shelf

def notebook(folder, name, room, line, *imports):
    "Write a notebook"
    head = dict(cell_type='markdown', source=f'# Title\n\n> {line}')
    code = '\n'.join(['#| export', *(f'from fastai_tricks.{o} import x' for o in imports)])
    cells = [head, *(dict(cell_type='code', source=o) for o in (f'#| default_exp {room}', code))]
    (folder/f'{name}.ipynb').write_text(json.dumps(dict(cells=cells)), encoding='utf-8')

@pytest.fixture
def rooms(tmp_path):
    notebook(tmp_path, '53_target.mixup', 'target.mixup', 'Blend & train', 'base.run', 'target.losses')
    notebook(tmp_path, '06a_base.amp', 'base.amp', 'Sixteen bits', 'base.run')
    notebook(tmp_path, '06_base.run', 'base.run', 'A run')
    notebook(tmp_path, '61_training', 'training', 'Train', 'target.mixup')
    (tmp_path/'index.ipynb').write_text('{"cells":[]}', encoding='utf-8') # no room
    return shelf.rooms(tmp_path)

def test_a_room_has_a_board_a_line_and_imports(rooms):
    assert [(o.name, o.board) for o in rooms]==[
        ('base.run', 'base'), ('base.amp', 'base'), ('target.mixup', 'target'), ('training', 'recipe')]
    mixup = rooms[2]
    assert (mixup.line, mixup.imports)==('Blend & train', ['base.run', 'target.losses'])

def test_the_picture_holds_each_room_once_and_what_a_board_imports(rooms):
    words = [o.text for o in ElementTree.fromstring(shelf.svg(rooms)).iter() if o.text and o.text.strip()]
    assert [words.count(o) for o in ('mixup', '53', 'Blend & train', 'training')]==[1, 1, 1, 1]
    assert [o for o in words if o.startswith('imports ')]==['imports target', 'imports base']
    assert words.index('target')<words.index('base') # base is at the bottom
    assert 'evidence' not in words # it has no room

def test_the_table_links_to_notebooks_and_is_replaced(rooms, monkeypatch):
    monkeypatch.setattr(shelf, 'wishes', {'mixing':'target.mixup', 'what is gone':'target.gone'})
    once = shelf.with_table(f'Before\n{shelf.begin}\nold\n{shelf.end}\nafter\n', rooms)
    assert '|mixing|[target.mixup](nbs/53_target.mixup.ipynb)|' in once and 'old' not in once
    assert once.startswith('Before\n') and once.endswith('\nafter\n')
    assert shelf.with_table(once, rooms)==once
    assert shelf.lost_wishes(rooms)==['target.gone']
