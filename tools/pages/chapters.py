"Names of pages, and the chapters in which they stand"
import fnmatch, os, re
from pathlib import Path
from .project import nbs, read

def page_name(p)->str:
    "Path of a notebook's page without suffix, by nbdev's own rule: `53_target.mixup.ipynb` is `target.mixup`"
    from nbdev.frontmatter import nbpath2html
    return str(nbpath2html(Path(p)).with_suffix('')).replace('\\', '/')

def is_page(p, folder):
    "Is the notebook `p` below `folder` a page? Names that begin with an underscore or a dot are not"
    return not p.name.startswith('_') and not any(o.startswith('.') for o in p.relative_to(folder).parts)

def pages_of(folder=nbs)->dict:
    "Notebooks of `folder` without suffix, to the names of their pages"
    files = sorted(p.relative_to(folder) for p in folder.rglob('*.ipynb') if is_page(p, folder))
    res = {p.as_posix().removesuffix('.ipynb'):page_name(p) for p in files}
    names = list(res.values())
    twice = sorted({o for o in names if names.count(o)>1})
    if twice: raise SystemExit(f"Two notebooks for one page: {', '.join(twice)}. Rename one of them.")
    return res

def fits(name, pattern):
    "Does the notebook `name` fit a pattern of sidebar.yml? A pattern without a folder takes none from folders"
    return fnmatch.fnmatch(f'{name}.ipynb', pattern) and ('/' in name)==('/' in pattern)

def chapters(folder=nbs, pages=None)->dict:
    "sidebar.yml of `folder` with its patterns replaced by the notebooks that fit; chapters without any are left out"
    import yaml
    if pages is None: pages = pages_of(folder)
    side = yaml.safe_load(read(folder/'sidebar.yml'))
    bar = side['website']['sidebar']
    for o in bar['contents']:
        pattern = o.get('contents')
        if isinstance(pattern, str): o['contents'] = [f'{pages[k]}.ipynb' for k in sorted(pages) if fits(k, pattern)]
    bar['contents'] = [o for o in bar['contents'] if o.get('contents', True)]
    return side

def relative(text, base, host, pages)->str:
    "Links to notebooks and to our own host in the Markdown or HTML `text`, as paths from the folder `base`"
    def path(o): return os.path.relpath(o, base or '.').replace('\\', '/')
    def own(m): return path(m[1] or 'index.html')
    def notebook(m):
        to = os.path.normpath(os.path.join(base, m[1])).replace('\\', '/')
        return f'({path(pages[to])}.ipynb' if to in pages else m[0]
    text = re.sub(re.escape(host) + r'/?([^\s)"\'#>]*)', own, text)
    return re.sub(r'\(([\w./-]+)\.(?:ipynb|html)(?=[)#])', notebook, text)
