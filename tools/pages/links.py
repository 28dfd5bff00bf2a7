"Is a rendered site right? Every link is followed"
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from .project import read, root

class Page(HTMLParser):
    "Links, places to link to, and files of a page"
    def __init__(self, text):
        super().__init__()
        self.links,self.ids,self.loads = [],set(),[]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ('id', 'name') if a.get(k)}
        if tag=='a' and a.get('href'): self.links.append(a['href'])
        elif tag in ('img', 'script', 'iframe', 'source') and a.get('src'): self.loads.append(a['src'])
        elif tag=='link' and a.get('href') and a.get('rel') in ('stylesheet', 'icon'): self.loads.append(a['href'])
        elif tag=='link' and a.get('href') and a.get('rel')=='alternate': self.links.append(a['href'])

def source_error(link, files)->str: # '' if it is right
    "What is wrong with a link to a file of the repository, and to a line of it"
    path,_,line = unquote(link).partition('#')
    if path not in files: return 'no such file in the repository'
    if not line: return ''
    n = len(read(root/path).splitlines())
    right = re.fullmatch(r'L\d+', line) and 1<=int(line[1:])<=n
    return '' if right else f'no such line, the file has {n}'

def full_errors(link, loads, host, repo, files):
    "What is wrong with an address in full; `loads` if the page loads it by itself"
    if loads and not link.startswith('data:'): yield 'is loaded from another host'
    if host and link.startswith(host): yield 'names our own host; link by path'
    m = re.match(re.escape(repo) + r'/blob/[\w.-]+/(.*)', link) if repo else None
    error = source_error(m[1], files) if m else ''
    if error: yield error

def path_error(link, page, site, base, pages)->str: # '' if it is right
    "What is wrong with a link to a page or file of the site, from `page`"
    u = urlsplit(link)
    path = unquote(u.path)
    if base and path.startswith(f'{base}/'): to = site/path[len(base)+1:]
    else: to = (page.parent/path).resolve() if path else page
    if to.is_dir(): to = to/'index.html'
    if not to.exists(): return 'no such file'
    found = to not in pages or unquote(u.fragment) in pages[to].ids|{''}
    return '' if found else 'no such place on the page'

def check_site(site, host='', repo='', files=())->list:
    """What is wrong with the links of a rendered site, a line each:
    no such page, place, or file of `repo`, a file from another host, an address of ours in full"""
    site,errors,base = Path(site).resolve(),set(),urlsplit(host).path.rstrip('/')
    pages = {p:Page(read(p)) for p in site.rglob('*.html')}
    if not pages: return [f'{site} holds no page']
    for p,o in pages.items():
        for link in o.links+o.loads:
            u = urlsplit(link)
            if u.scheme or u.netloc: found = full_errors(link, link in o.loads, host, repo, files)
            else: found = [path_error(link, p, site, base, pages)]
            errors |= {f'{p.relative_to(site)}: {link}: {e}' for e in found if e}
    return sorted(errors)
