"""The README and the site from the notebooks, with nothing but the dev requirements:

  python tools/docs.py readme    README.md from nbs/index.ipynb
  python tools/docs.py site      the site in _docs/: nbdev's processing, then smalldocs; Quarto reads nbs/_quarto.yml
  python tools/docs.py serve     show it at http://localhost:3000"""
import argparse, base64, fnmatch, html, json, multiprocessing, os, re, shutil, subprocess, sys, tempfile, warnings
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from fastcore.nbio import read_nb

root = Path(__file__).resolve().parent.parent
pkg,nbs = 'fastai_tricks',root/'nbs'

def _read(p): return Path(p).read_text(encoding='utf-8')
def _write(p, text): Path(p).write_text(text, encoding='utf-8')

def project()->dict:
    "Name, description and addresses: `[project]` of pyproject.toml, with the version of the package"
    import tomlkit
    res = tomlkit.parse(_read(root/'pyproject.toml')).unwrap()['project']
    init = _read(root/pkg/'__init__.py')
    return {**res, 'version':re.search(r'__version__ = "(.*?)"', init)[1]}

def _text(o): return ''.join(o) if isinstance(o, list) else o
def _directives(src): return {m[1]:m[2] for m in re.finditer(r'^#\|\s*([\w-]+):?\s*(.*)$', src, re.M)}

def _output(o):
    "Markdown of one saved output; HTML without the styles that a plain page cannot use"
    if o['output_type']=='stream': return '```\n' + _text(o['text']).rstrip() + '\n```'
    data = {k:_text(v) for k,v in o.get('data', {}).items()}
    if any(k.startswith('image/') for k in data):
        raise ValueError('A figure of a cell has no address. Save it in nbs/images: ![what it shows](images/name.svg)')
    if 'text/markdown' in data: return data['text/markdown']
    if 'text/html' in data: return re.sub(r'<style.*?</style>', '', data['text/html'], flags=re.S).strip()
    return '```\n' + data['text/plain'] + '\n```' if 'text/plain' in data else ''

def _cells(cells, link):
    "Markdown of `cells`: text with its links changed by `link`, code and outputs as far as the page shows them"
    res = []
    for c in cells:
        src = _text(c['source'])
        told = _directives(src)
        if 'hide' in told: continue
        if c['cell_type']=='markdown': res.append(link(src))
        if c['cell_type']!='code': continue
        code = '\n'.join(o for o in src.splitlines() if not o.startswith('#|')).strip()
        if told.get('echo')!='false' and code: res.append(f'```python\n{code}\n```')
        if told.get('output')!='false': res += [link(t) for o in c.get('outputs', []) if (t:=_output(o))]
    return res

def _absolute(text)->str:
    "Relative links of nbs/index.ipynb as addresses that work on PyPI: pages on the site, pictures in the repository"
    urls = project()['urls']
    raw = urls['Repository'].replace('github.com', 'raw.githubusercontent.com')
    def address(m):
        path,to = m[2].partition('#')[::2]
        place = f'#{to}' if to else ''
        if path.endswith('.ipynb'): return f"{m[1]}({urls['Documentation']}{page_name(path)}.html{place})"
        if m[1].startswith('!'): return f'{m[1]}({raw}/main/nbs/{path})'
        return f"{m[1]}({urls['Repository']}/blob/main/{os.path.normpath(os.path.join('nbs', path))}{place})"
    return re.sub(r'(!?\[[^\]\n]*\])\((?!\w+:|#)([^)\s]+)\)', address, text)

def readme()->str:
    "The text of README.md"
    head = '<!-- Made from nbs/index.ipynb by `python tools/docs.py readme`: edit the notebook -->'
    return '\n\n'.join([head, *_cells(read_nb(nbs/'index.ipynb').cells, _absolute)]) + '\n'

# ---- what nbdev does: hidden cells gone, signatures and tables of parameters in

def _trick_doc(trick, **kwargs):
    "What `show_doc` shows of a trick: the function that it is made of, called as people call it, without `spec`"
    from nbdev.showdoc import BasicMarkdownRenderer
    res = BasicMarkdownRenderer(trick.func, name=trick.func.__name__, **kwargs)
    res.dm.dm.pop('spec', None)
    return res

def _one(o):
    "Process one notebook, in a process of its own: its cells are run for signatures, and must not meet another page's"
    import nbdev.processors as proc, nbdev.serve_drv, nbdev.showdoc
    from fastai_tricks.base.trick import Trick
    begin,show = proc.exec_show_docs.begin,nbdev.showdoc.show_doc
    def with_module(self): # so that a signature may name a class that its page defines further down
        begin(self)
        m = next((m for c in self.nb.cells if (m:=re.match(r'#\|\s*default_exp:?\s+(\S+)', c.source or ''))), None)
        if m: self.k.run_cell(f'from {pkg}.{m[1]} import *')
    def show_doc(sym, **kwargs): return _trick_doc(sym, **kwargs) if isinstance(sym, Trick) else show(sym, **kwargs)
    proc.exec_show_docs.begin,nbdev.showdoc.show_doc = with_module,show_doc
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        nbdev.serve_drv.main(o)

def _each(f, files, **kwargs):
    "`_one` for each of `files`, two at a time"
    files = list(files)
    if not files: return
    how = 'fork' if sys.platform=='linux' else 'spawn' # a fork has fastai imported already
    n = min(2, os.cpu_count() or 1)
    with multiprocessing.get_context(how).Pool(n, maxtasksperchild=1) as pool: pool.map(_one, files, chunksize=1)

def _processed(to):
    "Notebooks as nbdev prepares them for a page, copied to the folder `to`"
    sys.path.insert(0, str(root)) # signatures are read from this checkout
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import fastai_tricks.all
        import nbdev.quarto as q, nbdev.serve
    q._ensure_quarto = lambda: None # without Quarto's program nbdev would start to install it
    nbdev.serve.parallel = _each
    here = Path.cwd()
    shutil.rmtree(root/'_proc', ignore_errors=True) # nbdev keeps pages whose notebook is older, whatever made them
    try: q.nbdev_proc_nbs.__wrapped__(path=str(nbs))
    except BaseException: # half a page would be taken for a whole one the next time
        shutil.rmtree(root/'_proc', ignore_errors=True)
        raise
    finally: os.chdir(here)
    shutil.copytree(root/'_proc', to, ignore=shutil.ignore_patterns('_docs', '.ipynb_checkpoints'))

# ---- pages and chapters

def page_name(p)->str:
    "Path of a notebook's page without suffix, by nbdev's own rule: `31_mixup.ipynb` is `mixup`"
    from nbdev.frontmatter import nbpath2html
    return str(nbpath2html(Path(p)).with_suffix('')).replace('\\', '/')

def _is_page(p, folder):
    "Is the notebook `p` below `folder` a page? Names that begin with an underscore or a dot are not"
    return not p.name.startswith('_') and not any(o.startswith('.') for o in p.relative_to(folder).parts)

def pages_of(folder=nbs)->dict:
    "Notebooks of `folder` without suffix, to the names of their pages"
    files = sorted(p.relative_to(folder) for p in folder.rglob('*.ipynb') if _is_page(p, folder))
    res = {p.with_suffix('').as_posix():page_name(p) for p in files}
    twice = {o for o in res.values() if list(res.values()).count(o)>1}
    if twice: raise SystemExit(f'Two notebooks for one page: {", ".join(sorted(twice))}. Rename one of them.')
    return res

def chapters(folder=nbs, pages=None)->dict:
    "sidebar.yml of `folder` with its patterns replaced by the notebooks that fit"
    import yaml
    if pages is None: pages = pages_of(folder)
    side = yaml.safe_load(_read(folder/'sidebar.yml'))
    bar = side['website']['sidebar']
    def fits(name, pat): return fnmatch.fnmatch(f'{name}.ipynb', pat) and ('/' in name)==('/' in pat)
    for o in bar['contents']:
        if isinstance(pat := o.get('contents'), str):
            o['contents'] = [f'{pages[k]}.ipynb' for k in sorted(pages) if fits(k, pat)]
    def written(o): return 'contents' not in o or o['contents'] # a chapter may be still to come
    bar['contents'] = [o for o in bar['contents'] if written(o)]
    return side

def _relative(text, base, host, pages):
    "Links to notebooks and to our own host in the Markdown or HTML `text`, as paths from the folder `base`"
    def path(o): return os.path.relpath(o, base or '.').replace('\\', '/')
    text = re.sub(re.escape(host) + r'/?([^\s)"\'#>]*)', lambda m: path(m[1] or 'index.html'), text)
    def nb(m):
        to = os.path.normpath(os.path.join(base, m[1])).replace('\\', '/')
        return f"({path(pages[to])}.ipynb" if to in pages else m[0]
    return re.sub(r'\(([\w./-]+)\.(?:ipynb|html)(?=[)#])', nb, text)

# ---- cards of tricks

def _cards(module, seen)->str:
    "Cards of the tricks that `module` defines, each with its anchor, without those in `seen`, the text of the page"
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
    def asks(c): return c['cell_type']=='markdown' and re.match(r'#+ As (a trick|tricks)', _text(c['source']))
    at = next((i for i,c in enumerate(nb['cells']) if asks(c)), None)
    if at is None: at,cards = len(nb['cells'])-1,f'## As a trick\n\n{cards}'
    nb['cells'].insert(at+1, dict(cell_type='markdown', metadata={}, source=cards, id=f'cards-{module}'))

# ---- figures: files beside the pages, each with a text alternative

def _children(o, kind): return [c for c in o if re.match(rf'{kind}_?\d*$', c.get('id') or '')]

def _said(o)->str:
    "The text of a matplotlib group: it is drawn as curves, and stands in a comment, one for each line"
    texts = [c.text or '' for c in o.iter() if c.tag is ElementTree.Comment or str(c.tag).endswith('}text')]
    return html.unescape(' '.join(' '.join(texts).split()))

def _axis(ax, which):
    "Label of an axis, and the words along it; numbers are left out"
    label,words = '',[]
    for o in _children(ax, rf'matplotlib\.axis_{which}'):
        label = next((_said(t) for t in reversed(_children(o, 'text'))), '')
        said = [_said(t) for tick in _children(o, '[xy]tick') for t in _children(tick, 'text')]
        words += [t for t in said if re.search(r'[^\W\d_]{2}', t)]
    return label,words

def _axes_text(ax)->str:
    "Words of one pair of axes: title, what stands against what, names in the picture"
    said = [o for t in _children(ax, 'text') if (o := _said(t))]
    legend = [t for g in _children(ax, 'legend') for t in g.iter() if re.match(r'text_\d+$', t.get('id') or '')]
    names = said[:-1] + [_said(t) for t in legend]
    (x,along),(y,up) = _axis(ax, 1),_axis(ax, 2)
    res = said[-1:] + ([f'{y} against {x}'] if x and y else [o for o in (x, y) if o])
    named = [*dict.fromkeys([*along, *up, *(o for o in names if re.search(r'\w', o))])]
    return '. '.join(o.rstrip('.') for o in res) + (f": {', '.join(named)}" if named else '')

def _cut(text, longest=400): return text if len(text)<=longest else text[:longest].rsplit(' ', 1)[0] + ' …'

def figure_text(svg)->str:
    "What a matplotlib figure says in words, '' if it has none: titles, axes, names of lines; pictures are counted"
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    fig = next((o for o in ElementTree.fromstring(svg, parser).iter() if o.get('id')=='figure_1'), None)
    if fig is None: return ''
    above,axes = [_said(t) for t in _children(fig, 'text')],_children(fig, 'axes')
    said = '; '.join(dict.fromkeys(o for o in above+[_axes_text(ax) for ax in axes] if o))
    drawn = any(_children(ax, r'(line2d|patch_5)') or _axis(ax, 1)[0] for ax in axes)
    return said if drawn or not said else f"{len(axes)} picture{'s' if len(axes)>1 else ''}: {said}"

def _plain(md)->str: return re.sub(r'[`*]', '', re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', md)).strip()

def _alt(data, cell, heading)->str:
    "Text alternative of a figure: what the cell says in `#| fig-alt`, else what is written in it, else what draws it"
    src = _text(cell['source'])
    if (told := _directives(src).get('fig-alt')): return told.strip('"\'')
    if 'image/svg+xml' in data and (said := figure_text(data['image/svg+xml'])):
        return _cut(said if len(said)>40 else f'{heading}, {said}')
    n = int((re.search(r'(\d+) Axes', data.get('text/plain', '')) or [0,1])[1])
    code = [o for o in src.splitlines() if re.search(r'\b(show|plot)\w*\(', o)]
    title = re.search(r"'([^']*\s[^']*\s[^']*)'", code[-1]) if code else None # of `show_lines` and its like
    if title: return f'{heading}, {title[1]}'
    draws = re.search(r'(?<![\w.)])(?:\w[\w.]*\.)?(?:show|plot)\w*\(.*\)', code[-1]) if code else None
    return _cut(f"{heading}, {n} picture{'s' if n>1 else ''}{f' of {draws[0]}' if draws else ''}")

_kinds = {'image/svg+xml':'svg', 'image/png':'png', 'image/jpeg':'jpg'} # with their endings

def _figures(nb, page)->dict:
    "Figures of the outputs of `nb` in files, path in the site to bytes; of several kinds the first of `_kinds`"
    files,heading = {},page
    for c in nb['cells']:
        if c['cell_type']=='markdown' and (m := re.match(r'#+ (.+)', _text(c['source']))): heading = _plain(m[1])
        for o in c.get('outputs', []):
            data = {k:_text(v) for k,v in o.get('data', {}).items()}
            kind = next((k for k in _kinds if k in data), None)
            if kind is None or 'text/html' in data: continue
            f = f"figures/{page.replace('/', '-')}-{len(files)+1}.{_kinds[kind]}"
            files[f] = data[kind].encode() if kind=='image/svg+xml' else base64.b64decode(data[kind])
            at,alt = '../'*page.count('/')+f,html.escape(_alt(data, c, heading))
            o['data'] = {'text/html':f'<img src="{at}" class="img-fluid" alt="{alt}" loading="lazy">'}
    return files

# ---- the notebooks, mended for the renderer

def _front(nb)->dict:
    "Title and description of a processed notebook"
    import yaml
    c = nb['cells'][0]
    return yaml.safe_load(_text(c['source']).strip().strip('-')) or {} if c['cell_type']=='raw' else {}

def _mend_nb(nb, page, base, host, pages):
    "Links of a notebook as paths, without what names folders of a machine"
    for c in nb['cells']:
        c['source'] = _text(c['source'])
        if c['cell_type']!='code': c['source'] = _relative(c['source'], base, host, pages)
        if c['cell_type']=='raw': c['source'] = re.sub(r'^output-file:.*\n', '', c['source'], flags=re.M)
        if 'outputs' not in c: continue
        c['outputs'] = [o for o in c['outputs'] if o.get('name')!='stderr'] # warnings
        for o in c['outputs']:
            data = o.get('data', {})
            for k in ('text/markdown','text/html'):
                if k in data: data[k] = _relative(_text(data[k]), base, host, pages)

def _copy(nb)->str:
    "The Markdown of a page, for readers without a browser"
    head = _front(nb)
    top = [f"# {head.get('title', '')}"] + ([f"> {head['description']}"] if head.get('description') else [])
    text = '\n\n'.join(top + _cells(nb['cells'], str))
    text = re.sub(r'<img src="([^"]*)"[^>]* alt="([^"]*)"[^>]*>', lambda m: f'![{html.unescape(m[2])}]({m[1]})', text)
    text = re.sub(r'(\]\([^)\s]*\))\{[^}\n]*\}', r'\1', text) # attributes of a link are Quarto's
    text = re.sub(r'<!-- WARNING: .*?-->|^:::.*$|<a id="[^"]*"></a>', '', text, flags=re.M)
    text = re.sub(r'(\]\((?!\w+:)[^)\s#]+)\.ipynb', r'\1.html.md', text)
    return re.sub(r'\n{3,}', '\n\n', text).strip() + '\n'

def _llms(host, side, heads)->str:
    "The text of llms.txt: every page with its line, by chapter"
    def line(name):
        o = heads[name]
        return f"- [{o.get('title', name)}]({host}/{name}.html.md): {' '.join(str(o.get('description') or '').split())}"
    def names(o): return [Path(p).with_suffix('').as_posix() for p in (o.get('contents') or [o['href']])]
    res = [f"# {pkg}", f"> {project()['description']}"]
    for o in side['website']['sidebar']['contents']:
        if o.get('section'): res.append(f"## {o['section']}")
        lines = '\n'.join(line(n) for n in names(o) if n in heads)
        if o.get('section') or not res[-1].startswith('- '): res.append(lines)
        else: res[-1] += f'\n{lines}'
    return '\n\n'.join(res) + '\n'

_404 = '''---
title: No such page
---
The address may be of an older version.
[The first page](index.ipynb) leads to all of them, and the search above looks through them.
'''

def _own_pages(src, host, pages)->dict: # Title and description of those that are listed
    "Pages that are no notebooks: changes, and what is shown where there is no page"
    from nbdev.doclinks import NbdevLookup
    text = _relative(NbdevLookup().linkify(_read(root/'CHANGELOG.md')), '.', host, pages)
    head = dict(title='Changelog', description='What changed for users, version by version.')
    front = '---\n' + '\n'.join(f'{k}: {v}' for k,v in head.items()) + '\n---\n'
    _write(src/'changelog.md', re.sub(r'\A# .*\n', front, text))
    _write(src/'404.md', _404)
    return dict(changelog=head)

def _mend_source(src)->dict: # `host`, `sources` of the pages in the repository, `files` to lay beside the pages
    "What the renderer does not do by itself: pages under nbdev's names, links between them, chapters from patterns"
    import yaml
    pages = pages_of(src)
    host = yaml.safe_load(_read(src/'nbdev.yml'))['website']['site-url'].rstrip('/')
    files,heads = {},{}
    for name,page in pages.items():
        p = src/f'{name}.ipynb'
        nb,base = json.loads(_read(p)),p.parent.relative_to(src).as_posix()
        _with_cards(nb, Path(page).name)
        _mend_nb(nb, page, base, host, pages)
        files |= _figures(nb, page)
        heads[page],files[f'{page}.html.md'] = _front(nb),_copy(nb).encode()
        p.unlink()
        _write(src/f'{page}.ipynb', json.dumps(nb))
    p = src/'nbdev.yml'
    _write(p, _read(p).split('format-links:')[0]) # only Quarto knows it
    side = chapters(src, pages)
    heads |= _own_pages(src, host, pages)
    files['changelog.html.md'] = (root/'CHANGELOG.md').read_bytes()
    side['website']['sidebar']['contents'].append(dict(text='Changelog', href='changelog.md'))
    _write(src/'sidebar.yml', yaml.safe_dump(side, sort_keys=False))
    _write(src/'llms.txt', _llms(host, side, heads))
    p = src/'_quarto.yml'
    def named(m): return f'{m[1]}{pages.get(m[2], m[2])}.ipynb'
    text = re.sub(r'(href: )([\w./-]+)\.ipynb', named, _read(p))
    foot = f"{pkg} {project()['version']}, [changelog](/changelog.md). [The pages as text](/llms.txt)"
    _write(p, text.replace('page-footer:\n', f'page-footer:\n    left: "{foot}"\n'))
    sources = {f'nbs/{v}.ipynb':f'nbs/{k}.ipynb' for k,v in pages.items()}
    sources |= {'nbs/changelog.md':'CHANGELOG.md', 'nbs/404.md':'tools/docs.py'}
    return dict(host=host, sources=sources, files=files)

# ---- the rendered pages, mended

def maths(tex, display=False)->str:
    "MathML of the formula `tex`: browsers draw it themselves, so a page asks nobody for a script or a font"
    from latex2mathml.converter import convert
    return convert(tex.replace(r'\big(', '(').replace(r'\big)', ')'), display='block' if display else 'inline')

_bars = {'nav class="navbar navbar-expand-lg bg-light"':'Main',
         'nav class="quarto-secondary-nav"':'This page',
         'nav id="quarto-sidebar"':'Chapters',
         'nav id="TOC"':'On this page',
         'nav class="page-navigation"':'Previous and next',
         'div class="toc-actions" role="navigation"':'Repository'}
_wide = '<div class="sd-table" tabindex="0" role="group" aria-label="Table">'

def _for_all(s)->str:
    "Boxes that may be wider than the page scroll by keyboard; they, pictures and bars of links say what they are"
    def box(m):
        name = 'Code' if 'sourceCode' in m[1] else 'Output'
        return f'<pre{m[1]} tabindex="0" role="group" aria-label="{name}">'
    s = re.sub(r'<pre((?: [^>]*)?)>', box, s)
    s = re.sub(r'<div class="sd-table">\s*(<table\b.*?</table>)\s*</div>', r'\1', s, flags=re.S) # now all are alike
    s = re.sub(r'(<table\b.*?</table>)', rf'{_wide}\1</div>', s, flags=re.S)
    s = re.sub(r'<math(?=[^>]*display="block")', '<math tabindex="0"', s)
    s = re.sub(r'<i class="(bi [^"]*)" role="img"></i>', r'<i class="\1" aria-hidden="true"></i>', s) # its link has one
    s = re.sub(r'(<a [^>]*data-bs-toggle="collapse"[^>]*) role="navigation"', r'\1 role="button"', s)
    s = s.replace('<div class="toc-actions"', '<div class="toc-actions" role="navigation"')
    for start,label in _bars.items(): s = s.replace(f'<{start}', f'<{start} aria-label="{label}"')
    return s

def _mend_html(site, host, sources):
    "Formulas as MathML, no font and no script from elsewhere, sources under their names, boxes that scroll by keyboard"
    blob = f"{project()['urls']['Repository']}/blob/main/"
    def drawn(m): return maths(html.unescape(m[2]), m[1]=='display')
    for p in site.rglob('*.html'):
        s = _read(p)
        s = re.sub(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', drawn, s, flags=re.S)
        s = re.sub(r'<(?:link|script)[^>]*katex[^>]*>(?:</script>)?', '', s)
        s = re.sub(re.escape(blob) + r'([\w./-]+)', lambda m: blob + sources.get(m[1], m[1]), s)
        s = _for_all(s)
        if (md := p.with_name(f'{p.name}.md')).exists():
            s = s.replace('</head>', f'<link rel="alternate" type="text/markdown" href="{md.name}"></head>', 1)
        _write(p, s)
    for p in (site/'site_libs').rglob('*.css'):
        s = _read(p)
        s = re.sub(r'@import\s*(?:url\([^)]*\)|"[^"]*"|\'[^\']*\')[^;]*;', '', s) # an address may hold semicolons
        _write(p, s)

def _to_shown(site):
    "A link of nbdev's index to a symbol that its page does not show leads to its last name, its class, or the page"
    from fastai_tricks._modidx import d
    known = {place for mod in d['syms'].values() for place,_ in mod.values()}
    ids = {p.relative_to(site).as_posix():_Page(_read(p)).ids for p in site.rglob('*.html')}
    def near(page, to): return next((f'#{o}' for o in (to, to.split('.')[-1], to.split('.')[0]) if o in ids[page]), '')
    for nm in ids:
        p,base = site/nm,os.path.dirname(nm)
        def mend(m):
            page = os.path.normpath(os.path.join(base, m[1])).replace('\\', '/')
            return f'href="{m[1]}{near(page, m[2])}"' if f'{page}#{m[2]}' in known and page in ids else m[0]
        _write(p, re.sub(r'href="([^"#:]+)#([^"]+)"', mend, _read(p)))

def _rooted(site, host):
    "The page 404 is shown at any depth: its links start at the root of the host; it is no page to find"
    base = urlsplit(host).path.rstrip('/')
    p = site/'404.html'
    s = _read(p)
    s = re.sub(r'((?:href|src|content)=["\'])\./?(?=["\'])', rf'\1{base}/', s)
    _write(p, re.sub(r'((?:href|src)=["\'])(?:\./)?(?![\w+-]+:|/|#|\.\.)', rf'\1{base}/', s))
    found = json.loads(_read(site/'search.json'))
    found = [o for o in found if not o['href'].startswith('404.html')]
    _write(site/'search.json', json.dumps(found, ensure_ascii=False))
    p = site/'sitemap.xml'
    _write(p, re.sub(r'\s*<url>(?:(?!</url>).)*404\.html.*?</url>', '', _read(p), flags=re.S))

# ---- is it right?

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
        elif tag=='link' and a.get('href') and a.get('rel')=='alternate': self.links.append(a['href'])

def tracked()->set:
    "Files of the repository, those included that are not committed yet"
    ask = 'git ls-files --cached --others --exclude-standard'.split()
    r = subprocess.run(ask, cwd=root, capture_output=True, text=True)
    if r.returncode==0: return {o for o in r.stdout.splitlines() if (root/o).exists()}
    return {p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file()} # an sdist has no git

def _wrong_source(link, files)->str: # '' if it is right
    "What is wrong with a link to a file of the repository, and to a line of it"
    path,line = unquote(link).partition('#')[::2]
    if path not in files: return 'no such file in the repository'
    if not line: return ''
    n = len(_read(root/path).splitlines())
    return '' if re.fullmatch(r'L\d+', line) and 1<=int(line[1:])<=n else f'no such line, the file has {n}'

def check_site(site, host='', repo='', files=())->list:
    """What is wrong with the links of a rendered site, a line each:
    no such page, place, or file of `repo`, a file from another host, an address of ours in full"""
    site,bad,base = Path(site).resolve(),[],urlsplit(host).path.rstrip('/')
    pages = {p:_Page(_read(p)) for p in site.rglob('*.html')}
    if not pages: return [f'{site} holds no page']
    for p,o in pages.items():
        for l in o.links+o.loads:
            say = lambda what: bad.append(f'{p.relative_to(site)}: {l}: {what}')
            u = urlsplit(l)
            if u.scheme or u.netloc:
                if l in o.loads and u.scheme!='data': say('is loaded from another host')
                if host and l.startswith(host): say('names our own host; link by path')
                m = re.match(re.escape(repo) + r'/blob/[\w.-]+/(.*)', l) if repo else None
                if m and (what := _wrong_source(m[1], files)): say(what)
                continue
            path = unquote(u.path)
            if base and path.startswith(f'{base}/'): to = site/path[len(base)+1:]
            else: to = (p.parent/path).resolve() if path else p
            if to.is_dir(): to = to/'index.html'
            if not to.exists(): say('no such file')
            elif to in pages and unquote(u.fragment) not in pages[to].ids|{''}: say('no such place on the page')
    return sorted(set(bad))

# ---- the commands

def site(to=None)->Path:
    "Build the site in the folder `to`, `_docs` if None; stops with a list of what is wrong with it"
    to = Path(to or root/'_docs')
    with tempfile.TemporaryDirectory() as d:
        src = Path(d)/'src'
        _processed(src)
        made = _mend_source(src)
        render = [sys.executable, '-c', 'import sys; from smalldocs.cli import main; sys.exit(main())', 'render']
        r = subprocess.run([*render, '--strict', '--quiet', str(src)], capture_output=True, text=True)
        if r.returncode: raise SystemExit(f'The site cannot be rendered:\n{r.stdout}{r.stderr}')
        out = src/'_docs'
        for f,data in made['files'].items():
            (out/f).parent.mkdir(parents=True, exist_ok=True)
            (out/f).write_bytes(data)
        _mend_html(out, made['host'], made['sources'])
        _to_shown(out)
        _rooted(out, made['host'])
        bad = check_site(out, made['host'], project()['urls']['Repository'], tracked())
        if bad: raise SystemExit('Links that lead nowhere:\n' + '\n'.join(bad))
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(out, to)
    (to/'.nojekyll').touch() # GitHub would leave out files with an underscore
    return to

class Handler(SimpleHTTPRequestHandler):
    "Serves the site as its host does: below the same path, with its own page for what is not there"
    base = urlsplit(project()['urls']['Documentation']).path.rstrip('/')
    def translate_path(self, path):
        return super().translate_path(path[len(self.base):] if path.startswith(f'{self.base}/') else '/no such page')
    def list_directory(self, path): self.send_error(404)
    def send_error(self, code, message=None, explain=None):
        page = Path(self.directory)/'404.html'
        if code!=404 or not page.exists(): return super().send_error(code, message, explain)
        self.send_response(404)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.end_headers()
        if self.command!='HEAD': self.wfile.write(page.read_bytes())

def server(folder, port=0, handler=Handler):
    "A server of the site in `folder`, and its address"
    res = ThreadingHTTPServer(('127.0.0.1', port), partial(handler, directory=str(folder)))
    return res,f'http://localhost:{res.server_port}{Handler.base}/'

def serve(folder=None, port=3000):
    "Show a built site on this machine until Ctrl-C; builds it first where there is none"
    folder = Path(folder or root/'_docs')
    if not (folder/'index.html').exists(): site(folder)
    res,url = server(folder, port)
    print(f'{url} (Ctrl-C ends it)', flush=True)
    try: res.serve_forever()
    except KeyboardInterrupt: pass
    finally: res.server_close()

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['readme','site','serve'])
    p.add_argument('--port', type=int, default=3000, help='for `serve`; 0 takes a free one')
    a = p.parse_args()
    if a.what=='readme':
        _write(root/'README.md', readme())
        print(root/'README.md')
    elif a.what=='site': print(site()/'index.html')
    else: serve(port=a.port)

if __name__=='__main__': main()
