"The project: where it stands, what it is called, its files, and how notebooks are read"
import re, subprocess
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
pkg,nbs = 'fastai_tricks',root/'nbs'

def read(p): return Path(p).read_text(encoding='utf-8')
def write(p, text): Path(p).write_text(text, encoding='utf-8')

def project()->dict:
    "Name, description and addresses: `[project]` of pyproject.toml, with the version of the package"
    import tomlkit
    res = tomlkit.parse(read(root/'pyproject.toml')).unwrap()['project']
    init = read(root/pkg/'__init__.py')
    return {**res, 'version':re.search(r'__version__ = "(.*?)"', init)[1]}

def tracked()->set:
    "Files of the repository, those included that are not committed yet"
    ask = 'git ls-files --cached --others --exclude-standard'.split()
    r = subprocess.run(ask, cwd=root, capture_output=True, text=True)
    if r.returncode==0: return {o for o in r.stdout.splitlines() if (root/o).exists()}
    return {p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file()} # an sdist has no git

def text_of(o)->str:
    "A source or an output of a notebook: its format allows a string or a list of lines"
    return ''.join(o) if isinstance(o, list) else o

def directives(source)->dict:
    "Name of each directive of a cell to its value: `#| echo: false`"
    return {m[1]:m[2] for m in re.finditer(r'^#\|\s*([\w-]+):?\s*(.*)$', source, re.M)}
