"""The README and the site from the notebooks, with nothing but the dev requirements:

  python tools/docs.py readme    README.md from nbs/index.ipynb
  python tools/docs.py site      the site in _docs/: nbdev's processing, then smalldocs (the same nbs/_quarto.yml serves Quarto)
  python tools/docs.py serve     show it at http://localhost:3000"""
import argparse, fnmatch, html, json, multiprocessing, os, re, shutil, subprocess, sys, tempfile, warnings
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit
from fastcore.nbio import read_nb

root = Path(__file__).resolve().parent.parent
pkg,nbs = 'fastai_tricks',root/'nbs'

def _directives(src): return {m[1]:m[2] for m in re.finditer(r'^#\|\s*(\w+):?\s*(.*)$', src, re.M)}

def _output(o):
    "Markdown of one saved output; HTML without the styles that a plain page cannot use"
    if o['output_type']=='stream': return '```\n' + ''.join(o['text']).rstrip() + '\n```'
    data = {k: ''.join(v) if isinstance(v, list) else v for k,v in o.get('data', {}).items()}
    if 'text/markdown' in data: return data['text/markdown']
    if 'text/html' in data: return re.sub(r'<style.*?</style>', '', data['text/html'], flags=re.S).strip()
    return '```\n' + data['text/plain'] + '\n```' if 'text/plain' in data else ''

def readme()->str:
    "The text of README.md"
    res = ['<!-- Made from nbs/index.ipynb by `python tools/docs.py readme`: edit the notebook -->']
    for c in read_nb(root/'nbs'/'index.ipynb').cells:
        src,d = c.source,_directives(c.source)
        if 'hide' in d: continue
        if c.cell_type=='markdown': res.append(re.sub(r'\]\((?!http|#)', '](nbs/', src)); continue # links are relative to the notebook
        code = '\n'.join(o for o in src.splitlines() if not o.startswith('#|')).strip()
        if d.get('echo')!='false' and code: res.append(f'```python\n{code}\n```')
        if d.get('output')!='false': res += [t for o in c.get('outputs', []) if (t:=_output(o))]
    return '\n\n'.join(res) + '\n'

# ---- the site

def _one(o):
    "Process one notebook, in a process of its own: signatures are had by running its cells, which must not meet those of another page"
    import nbdev.processors as proc, nbdev.serve_drv
    begin = proc.exec_show_docs.begin
    def with_module(self): # so that a signature may name a class that its page defines further down
        begin(self)
        m = next((m for c in self.nb.cells if (m:=re.match(r'#\|\s*default_exp:?\s+(\S+)', c.source or ''))), None)
        if m: self.k.run_cell(f'from {pkg}.{m[1]} import *')
    proc.exec_show_docs.begin = with_module
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        nbdev.serve_drv.main(o)

def _each(f, files, **kwargs):
    "`_one` for each of `files`, two at a time"
    files = list(files)
    if not files: return
    how = 'fork' if sys.platform=='linux' else 'spawn' # a fork has fastai imported already
    with multiprocessing.get_context(how).Pool(min(2, os.cpu_count() or 1), maxtasksperchild=1) as pool: pool.map(_one, files, chunksize=1)

def _processed(to):
    "Notebooks as nbdev prepares them for a page (hidden cells gone, signatures and tables of parameters in), copied to the folder `to`"
    sys.path.insert(0, str(root)) # signatures are read from this checkout
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import fastai_tricks.all
        import nbdev.quarto as q, nbdev.serve
    q._ensure_quarto = lambda: None # without Quarto's program nbdev would start to install it
    nbdev.serve.parallel = _each
    here = Path.cwd()
    try: q.nbdev_proc_nbs.__wrapped__(path=str(nbs))
    except BaseException: # half a page would be taken for a whole one the next time
        shutil.rmtree(root/'_proc', ignore_errors=True)
        raise
    finally: os.chdir(here)
    shutil.copytree(root/'_proc', to, ignore=shutil.ignore_patterns('_docs', '.ipynb_checkpoints'))

def page_name(p)->str:
    "Path of a notebook's page without suffix, by nbdev's own rule: `31_mixup.ipynb` is `mixup`"
    from nbdev.frontmatter import nbpath2html
    return str(nbpath2html(Path(p)).with_suffix('')).replace('\\', '/')

def _relative(text, base, host, pages):
    "Links to notebooks and to our own host in the Markdown or HTML `text`, as paths from the folder `base`"
    def path(o): return os.path.relpath(o, base or '.').replace('\\', '/')
    text = re.sub(re.escape(host) + r'/?([^\s)"\'#>]*)', lambda m: path(m[1] or 'index.html'), text)
    def nb(m):
        to = os.path.normpath(os.path.join(base, m[1])).replace('\\', '/')
        return f"({path(pages[to])}.ipynb" if to in pages else m[0]
    return re.sub(r'\(([\w./-]+)\.(?:ipynb|html)(?=[)#])', nb, text)

def _cards(module, seen)->str:
    "Cards of the tricks that `module` defines, each with its anchor; without those that the page shows already (their text is in `seen`)"
    import fastai_tricks.all as ours # fills `tricks`
    res = []
    for o in ours.tricks.values():
        if o.func.__module__!=f'{pkg}.{module}' or f'**`{o.name}`**' in seen: continue
        ids = dict.fromkeys([o.name, o.func.__name__])
        res.append(''.join(f'<a id="{i}"></a>' for i in ids) + '\n\n' + o._repr_markdown_())
    return '\n\n'.join(res)

def _with_cards(nb, module):
    "The notebook with the cards of its tricks: below the heading 'As a trick', at the end where there is none"
    seen = json.dumps([c.get('outputs', []) for c in nb['cells']])
    cards = _cards(module, seen)
    if not cards: return
    at = next((i for i,c in enumerate(nb['cells']) if c['cell_type']=='markdown' and re.match(r'#+ As (a trick|tricks)', ''.join(c['source']))), None)
    if at is None: at,cards = len(nb['cells'])-1,f'## As a trick\n\n{cards}'
    nb['cells'].insert(at+1, dict(cell_type='markdown', metadata={}, source=cards, id=f'cards-{module}'))

def chapters(folder, pages=None)->dict:
    "sidebar.yml of `folder` with its patterns replaced by the notebooks that fit"
    import yaml
    if pages is None: pages = {p.relative_to(folder).with_suffix('').as_posix():page_name(p.relative_to(folder)) for p in sorted(folder.rglob('*.ipynb')) if not p.name.startswith('_') and '.ipynb_checkpoints' not in p.parts}
    side = yaml.safe_load((folder/'sidebar.yml').read_text(encoding='utf-8'))
    bar = side['website']['sidebar']
    for o in bar['contents']:
        if isinstance(pat := o.get('contents'), str): o['contents'] = [f'{pages[k]}.ipynb' for k in sorted(pages) if fnmatch.fnmatch(f'{k}.ipynb', pat) and ('/' in k)==('/' in pat)]
    bar['contents'] = [o for o in bar['contents'] if 'contents' not in o or o['contents']] # a chapter that is still to be written
    return side

def _mend_source(src)->str: # Address that the site will have
    "What the renderer does not do by itself: pages under nbdev's names, links between them, chapters from patterns"
    import yaml
    files = sorted(p for p in src.rglob('*.ipynb') if not any(o.startswith('.') for o in p.relative_to(src).parts))
    pages = {p.relative_to(src).with_suffix('').as_posix():page_name(p.relative_to(src)) for p in files}
    twice = {o for o in pages.values() if list(pages.values()).count(o)>1}
    if twice: raise SystemExit(f'Two notebooks for one page: {", ".join(sorted(twice))}. Rename one of them.')
    host = yaml.safe_load((src/'nbdev.yml').read_text(encoding='utf-8'))['website']['site-url'].rstrip('/')
    for p in files:
        nb,base = json.loads(p.read_text(encoding='utf-8')),p.parent.relative_to(src).as_posix()
        _with_cards(nb, Path(pages[p.relative_to(src).with_suffix('').as_posix()]).name)
        for c in nb['cells']:
            s = _relative(''.join(c['source']), base, host, pages) if c['cell_type']!='code' else ''.join(c['source'])
            if c['cell_type']=='raw': s = re.sub(r'^output-file:.*\n', '', s, flags=re.M)
            c['source'] = s
            if 'outputs' in c: c['outputs'] = [o for o in c['outputs'] if o.get('name')!='stderr'] # warnings that name folders of the machine
            for o in c.get('outputs', []):
                for k in ('text/markdown','text/html'):
                    if k in o.get('data', {}): o['data'][k] = _relative(''.join(o['data'][k]), base, host, pages)
        p.unlink()
        (src/f"{pages[p.relative_to(src).with_suffix('').as_posix()]}.ipynb").write_text(json.dumps(nb), encoding='utf-8')
    p = src/'nbdev.yml'
    p.write_text(p.read_text(encoding='utf-8').split('format-links:')[0], encoding='utf-8') # only Quarto knows it
    side = chapters(src, pages)
    (src/'sidebar.yml').write_text(yaml.safe_dump(side, sort_keys=False), encoding='utf-8')
    p = src/'_quarto.yml'
    p.write_text(re.sub(r'(href: )([\w/-]+)\.ipynb', lambda m: f'{m[1]}{pages.get(m[2], m[2])}.ipynb', p.read_text(encoding='utf-8')), encoding='utf-8')
    return host

def maths(tex, display=False)->str:
    "MathML of the formula `tex`: browsers draw it themselves, so a page asks nobody for a script or a font"
    from latex2mathml.converter import convert
    return convert(tex.replace(r'\big(', '(').replace(r'\big)', ')'), display='block' if display else 'inline')

def _mend_html(site):
    "Formulas as MathML, no font and no script from elsewhere"
    for p in site.rglob('*.html'):
        s = p.read_text(encoding='utf-8')
        s = re.sub(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', lambda m: maths(html.unescape(m[2]), m[1]=='display'), s, flags=re.S)
        s = re.sub(r'<(?:link|script)[^>]*katex[^>]*>(?:</script>)?', '', s)
        p.write_text(s, encoding='utf-8')
    for p in (site/'site_libs').rglob('*.css'):
        s = p.read_text(encoding='utf-8')
        p.write_text(re.sub(r'@import\s*(?:url\([^)]*\)|"[^"]*"|\'[^\']*\')[^;]*;', '', s), encoding='utf-8') # an address may hold semicolons

class _Page(HTMLParser):
    "Links, places to link to, and files of a page"
    def __init__(self, text):
        super().__init__()
        self.links,self.ids,self.loads = [],set(),[]
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ('id','name') if a.get(k)}
        if tag=='a' and a.get('href'): self.links.append(a['href'])
        elif tag in ('img','script','iframe','source') and a.get('src'): self.loads.append(a['src'])
        elif tag=='link' and a.get('href') and a.get('rel') in ('stylesheet','icon'): self.loads.append(a['href'])

def check_site(site, host='')->list:
    "What is wrong with the links of a rendered site, a line each: no such page, no such place on it, a file from another host, an address of ours in full"
    site,bad = Path(site),[]
    pages = {p.resolve():_Page(p.read_text(encoding='utf-8')) for p in site.rglob('*.html')}
    if not pages: return [f'{site} holds no page']
    for p,o in pages.items():
        for l in o.links+o.loads:
            say = lambda what: bad.append(f'{p.relative_to(site.resolve())}: {l}: {what}')
            u = urlsplit(l)
            if u.scheme or u.netloc:
                if l in o.loads and u.scheme!='data': say('is loaded from another host')
                if host and l.startswith(host): say('names our own host; link by path')
                continue
            to = (p.parent/unquote(u.path)).resolve() if u.path else p
            if to.is_dir(): to = to/'index.html'
            if not to.exists(): say('no such file')
            elif u.fragment and to in pages and unquote(u.fragment) not in pages[to].ids: say('no such place on the page')
    return sorted(set(bad))

def site(to=None)->Path:
    "Build the site in the folder `to`, `_docs` if None; stops with a list of what is wrong with it"
    to = Path(to or root/'_docs')
    with tempfile.TemporaryDirectory() as d:
        src = Path(d)/'src'
        _processed(src)
        host = _mend_source(src)
        r = subprocess.run([sys.executable, '-c', 'import sys; from smalldocs.cli import main; sys.exit(main())', 'render', '--strict', '--quiet', str(src)], capture_output=True, text=True)
        if r.returncode: raise SystemExit(f'The site cannot be rendered:\n{r.stdout}{r.stderr}')
        _mend_html(src/'_docs')
        bad = check_site(src/'_docs', host)
        if bad: raise SystemExit('Links that lead nowhere:\n' + '\n'.join(bad))
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(src/'_docs', to)
    (to/'.nojekyll').touch() # GitHub would leave out files with an underscore
    return to

def serve(folder=None, port=3000):
    "Show a built site at http://localhost:`port` until Ctrl-C; builds it first where there is none"
    folder = Path(folder or root/'_docs')
    if not (folder/'index.html').exists(): site(folder)
    server = ThreadingHTTPServer(('127.0.0.1', port), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    print(f'http://localhost:{server.server_port} (Ctrl-C ends it)', flush=True)
    try: server.serve_forever()
    except KeyboardInterrupt: pass
    finally: server.server_close()

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['readme','site','serve'])
    p.add_argument('--port', type=int, default=3000, help='for `serve`; 0 takes a free one')
    a = p.parse_args()
    if a.what=='readme':
        (root/'README.md').write_text(readme(), encoding='utf-8')
        print(root/'README.md')
    elif a.what=='site': print(site()/'index.html')
    else: serve(port=a.port)

if __name__=='__main__': main()
