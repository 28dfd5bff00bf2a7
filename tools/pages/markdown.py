"Markdown of a notebook, and README.md"
import os, re, subprocess, sys
from fastcore.nbio import read_nb
from .chapters import page_name
from .project import directives, nbs, project, root, text_of

def fenced(text, language=''): return f'```{language}\n{text}\n```'

def output_markdown(o)->str:
    "Markdown of one saved output; HTML without the styles that a plain page cannot use"
    if o['output_type']=='stream': return fenced(text_of(o['text']).rstrip())
    data = {k:text_of(v) for k,v in o.get('data', {}).items()}
    if any(k.startswith('image/') for k in data):
        raise ValueError('A figure of a cell has no address. '
                         'Save it in nbs/images: ![what it shows](images/name.svg)')
    if 'text/markdown' in data: return data['text/markdown']
    if 'text/html' in data: return re.sub(r'<style.*?</style>', '', data['text/html'], flags=re.S).strip()
    return fenced(data['text/plain']) if 'text/plain' in data else ''

def cell_markdown(c, link)->list:
    "Markdown of a cell, piece by piece, as far as the page shows it; links are changed by `link`"
    source = text_of(c['source'])
    asked = directives(source)
    if 'hide' in asked: return []
    if c['cell_type']=='markdown': return [link(source)]
    if c['cell_type']!='code': return []
    code = '\n'.join(o for o in source.splitlines() if not o.startswith('#|')).strip()
    res = [fenced(code, 'python')] if code and asked.get('echo')!='false' else []
    if asked.get('output')=='false': return res
    return res + [link(t) for o in c.get('outputs', []) if (t := output_markdown(o))]

def cells_markdown(cells, link=str)->list:
    "Markdown of `cells`, piece by piece"
    return [t for c in cells for t in cell_markdown(c, link)]

def absolute(text)->str:
    "Relative links of nbs/index.ipynb as addresses that work on PyPI: pages on the site, images in the repository"
    urls = project()['urls']
    raw = urls['Repository'].replace('github.com', 'raw.githubusercontent.com')
    def address(m):
        path,place = re.fullmatch(r'([^#]*)(#?.*)', m[2]).groups()
        if path.endswith('.ipynb'): return f"{m[1]}({urls['Documentation']}{page_name(path)}.html{place})"
        if m[1].startswith('!'): return f'{m[1]}({raw}/main/nbs/{path})'
        return f"{m[1]}({urls['Repository']}/blob/main/{os.path.normpath(os.path.join('nbs', path))}{place})"
    return re.sub(r'(!?\[[^\]\n]*\])\((?!\w+:|#)([^)\s]+)\)', address, text)

def readme()->str:
    "The text of README.md"
    head = '<!-- Made from nbs/index.ipynb by `python tools/docs.py readme`: edit the notebook -->'
    return '\n\n'.join([head, *cells_markdown(read_nb(nbs/'index.ipynb').cells, absolute)]) + '\n'

# ---- the first page lists every trick

def names_of_tricks()->list:
    "Names of the tricks of this checkout, in the order of the register"
    code = 'from fastai_tricks.all import tricks; print(*tricks)'
    r = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=root, capture_output=True, text=True)
    if r.returncode: raise SystemExit(f'The package cannot be imported:\n{r.stderr}')
    return r.stdout.split()

def unlisted(text)->list:
    "Names of tricks that `text` does not hold"
    return [o for o in names_of_tricks() if f'`{o}`' not in text]

def list_tricks():
    "Run nbs/index.ipynb anew if a trick is missing there"
    index = str(nbs/'index.ipynb')
    if not unlisted(readme()): return
    for command in (['nbdev-test', index, '--save'], ['nbdev-clean', '--fname', index]):
        r = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if r.returncode: raise SystemExit(f"{' '.join(command)} fails:\n{r.stdout[-3000:]}{r.stderr[-3000:]}")
