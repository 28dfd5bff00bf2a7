"The notebooks, changed for the renderer: links, cards, figures, chapters, and pages that are no notebooks"
import html, json, re
from pathlib import Path
from .cards import add_cards
from .chapters import chapters, pages_of, relative
from .figures import take_figures
from .markdown import cells_markdown
from .project import pkg, project, read, root, text_of, write

def front(nb)->dict:
    "Title and description of a processed notebook"
    import yaml
    c = nb['cells'][0]
    return yaml.safe_load(text_of(c['source']).strip().strip('-')) or {} if c['cell_type']=='raw' else {}

def without_addresses(text)->str:
    "A function that is a default stands in a signature by its name, not by its place in memory"
    return re.sub(r'<function ([\w.]+) at 0x\w+>', r'\1', text)

def mend_notebook(nb, base, host, pages):
    "Make links of a notebook paths, and take out what names folders of a machine and places in its memory"
    for c in nb['cells']:
        c['source'] = without_addresses(text_of(c['source']))
        if c['cell_type']!='code': c['source'] = relative(c['source'], base, host, pages)
        if c['cell_type']=='raw': c['source'] = re.sub(r'^output-file:.*\n', '', c['source'], flags=re.M)
        if 'outputs' not in c: continue
        c['outputs'] = [o for o in c['outputs'] if o.get('name')!='stderr'] # warnings
        for o in c['outputs']:
            data = o.get('data', {})
            for k in ('text/markdown', 'text/html'):
                if k in data: data[k] = without_addresses(relative(text_of(data[k]), base, host, pages))

# ---- text for readers without a browser

def markdown_copy(nb)->str:
    "The Markdown of a page"
    head = front(nb)
    top = [f"# {head.get('title', '')}"]
    if head.get('description'): top.append(f"> {head['description']}")
    text = '\n\n'.join(top + cells_markdown(nb['cells']))
    text = re.sub(r'<img src="([^"]*)"[^>]* alt="([^"]*)"[^>]*>', lambda m: f'![{html.unescape(m[2])}]({m[1]})', text)
    text = re.sub(r'(\]\([^)\s]*\))\{[^}\n]*\}', r'\1', text) # attributes of a link are Quarto's
    text = re.sub(r'<!-- WARNING: .*?-->|^:::.*$|<a id="[^"]*"></a>', '', text, flags=re.M)
    text = re.sub(r'(\]\((?!\w+:)[^)\s#]+)\.ipynb', r'\1.html.md', text)
    return re.sub(r'\n{3,}', '\n\n', text).strip() + '\n'

def llms(host, side, heads)->str:
    "The text of llms.txt: every page with its line, by chapter"
    def line(name):
        head = heads[name]
        about = ' '.join(str(head.get('description') or '').split())
        return f"- [{head.get('title', name)}]({host}/{name}.html.md): {about}"
    def names(o): return [p.rpartition('.')[0] for p in (o.get('contents') or [o['href']])]
    res = [f'# {pkg}', f"> {project()['description']}"]
    for o in side['website']['sidebar']['contents']:
        if o.get('section'): res.append(f"## {o['section']}")
        lines = '\n'.join(line(n) for n in names(o) if n in heads)
        if o.get('section') or not res[-1].startswith('- '): res.append(lines)
        else: res[-1] += f'\n{lines}'
    return '\n\n'.join(res) + '\n'

# ---- pages that are no notebooks

page_404 = '''---
title: No such page
---
The address may be of an older version.
[The first page](index.ipynb) leads to all of them, and the search above looks through them.
'''

def own_pages(src, host, pages)->dict: # Title and description of those that are listed
    "Changes, and what is shown where there is no page"
    from nbdev.doclinks import NbdevLookup
    text = relative(NbdevLookup().linkify(read(root/'CHANGELOG.md')), '.', host, pages)
    head = dict(title='Changelog', description='What changed for users, version by version.')
    lines = '---\n' + '\n'.join(f'{k}: {v}' for k,v in head.items()) + '\n---\n'
    write(src/'changelog.md', re.sub(r'\A# .*\n', lines, text))
    write(src/'404.md', page_404)
    return dict(changelog=head)

# ---- all together

def mend_page(src, name, page, host, pages)->tuple: # Its title and description, and files to lay beside it
    "Write the notebook `name` in the folder `src` anew, under the name of its page"
    p = src/f'{name}.ipynb'
    nb = json.loads(read(p))
    add_cards(nb, Path(page).name)
    mend_notebook(nb, p.parent.relative_to(src).as_posix(), host, pages)
    files = take_figures(nb, page)
    files[f'{page}.html.md'] = markdown_copy(nb).encode()
    p.unlink()
    write(src/f'{page}.ipynb', json.dumps(nb))
    return front(nb),files

def mend_bars(src, pages):
    "Write links of the bar above by the names of pages, and a footer"
    p = src/'_quarto.yml'
    def named(m): return f'{m[1]}{pages.get(m[2], m[2])}.ipynb'
    text = re.sub(r'(href: )([\w./-]+)\.ipynb', named, read(p))
    foot = f"{pkg} {project()['version']}, [changelog](/changelog.md). [The pages as text](/llms.txt)"
    write(p, text.replace('page-footer:\n', f'page-footer:\n    left: "{foot}"\n'))

def mend_source(src)->dict: # `host`, `sources` of the pages in the repository, `files` to lay beside the pages
    "What the renderer does not do by itself: pages under nbdev's names, links between them, chapters from patterns"
    import yaml
    pages = pages_of(src)
    p = src/'nbdev.yml'
    host = yaml.safe_load(read(p))['website']['site-url'].rstrip('/')
    write(p, read(p).split('format-links:')[0]) # only Quarto knows it
    files,heads = {},{}
    for name,page in pages.items():
        heads[page],more = mend_page(src, name, page, host, pages)
        files |= more
    heads |= own_pages(src, host, pages)
    files['changelog.html.md'] = (root/'CHANGELOG.md').read_bytes()
    side = chapters(src, pages)
    side['website']['sidebar']['contents'].append(dict(text='Changelog', href='changelog.md'))
    write(src/'sidebar.yml', yaml.safe_dump(side, sort_keys=False))
    write(src/'llms.txt', llms(host, side, heads))
    mend_bars(src, pages)
    sources = {f'nbs/{page}.ipynb':f'nbs/{name}.ipynb' for name,page in pages.items()}
    sources |= {'nbs/changelog.md':'CHANGELOG.md', 'nbs/404.md':'tools/pages/source.py'}
    return dict(host=host, sources=sources, files=files)
