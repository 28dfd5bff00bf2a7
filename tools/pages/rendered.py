"The rendered pages, changed: formulas, names for those who do not see, links that lead to what is shown"
import html, json, os, re
from urllib.parse import urlsplit
from .links import Page
from .project import project, read, write

def maths(tex, display=False)->str:
    "MathML of the formula `tex`: browsers draw it themselves, so a page asks nobody for a script or a font"
    from latex2mathml.converter import convert
    return convert(tex.replace(r'\big(', '(').replace(r'\big)', ')'), display='block' if display else 'inline')

# ---- for those who read by keyboard or by ear

bars = {
    'nav class="navbar navbar-expand-lg bg-light"':'Main',
    'nav class="quarto-secondary-nav"':'This page',
    'nav id="quarto-sidebar"':'Chapters',
    'nav id="TOC"':'On this page',
    'nav class="page-navigation"':'Previous and next',
    'div class="toc-actions" role="navigation"':'Repository',
}
wide = '<div class="sd-table" tabindex="0" role="group" aria-label="Table">'

def named_box(m):
    "A box of code or output, that scrolls by keyboard and says what it is"
    name = 'Code' if 'sourceCode' in m[1] else 'Output'
    return f'<pre{m[1]} tabindex="0" role="group" aria-label="{name}">'

def for_all(s)->str:
    "Boxes that may be wider than the page scroll by keyboard; they, images and bars of links say what they are"
    s = re.sub(r'<pre((?: [^>]*)?)>', named_box, s)
    s = re.sub(r'<div class="sd-table">\s*(<table\b.*?</table>)\s*</div>', r'\1', s, flags=re.S) # now all are alike
    s = re.sub(r'(<table\b.*?</table>)', rf'{wide}\1</div>', s, flags=re.S)
    s = re.sub(r'<math(?=[^>]*display="block")', '<math tabindex="0"', s)
    s = re.sub(r'<i class="(bi [^"]*)" role="img"></i>', r'<i class="\1" aria-hidden="true"></i>', s) # its link has one
    s = re.sub(r'(<a [^>]*data-bs-toggle="collapse"[^>]*) role="navigation"', r'\1 role="button"', s)
    s = s.replace('<div class="toc-actions"', '<div class="toc-actions" role="navigation"')
    for start,label in bars.items(): s = s.replace(f'<{start}', f'<{start} aria-label="{label}"')
    return s

# ---- pages and styles

def mend_page(p, sources):
    "Formulas as MathML, no font and no script from elsewhere, sources under their names, boxes that scroll by keyboard"
    blob = f"{project()['urls']['Repository']}/blob/main/"
    def drawn(m): return maths(html.unescape(m[2]), m[1]=='display')
    s = re.sub(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', drawn, read(p), flags=re.S)
    s = re.sub(r'<(?:link|script)[^>]*katex[^>]*>(?:</script>)?', '', s)
    s = re.sub(re.escape(blob) + r'([\w./-]+)', lambda m: blob + sources.get(m[1], m[1]), s)
    s = for_all(s)
    md = p.with_name(f'{p.name}.md')
    link = f'<link rel="alternate" type="text/markdown" href="{md.name}"></head>'
    write(p, s.replace('</head>', link, 1) if md.exists() else s)

def mend_html(site, sources):
    "Mend all pages, and styles that ask for fonts from elsewhere"
    for p in site.rglob('*.html'): mend_page(p, sources)
    for p in (site/'site_libs').rglob('*.css'):
        imports = r'@import\s*(?:url\([^)]*\)|"[^"]*"|\'[^\']*\')[^;]*;' # an address may hold semicolons
        write(p, re.sub(imports, '', read(p)))

# ---- links

def link_to_shown(site):
    "A link of nbdev's index to a symbol that its page does not show leads to its last name, its class, or the page"
    from fastai_tricks._modidx import d
    known = {place for mod in d['syms'].values() for place,_ in mod.values()}
    ids = {p.relative_to(site).as_posix():Page(read(p)).ids for p in site.rglob('*.html')}
    def shown(page, to): return next((f'#{o}' for o in (to, to.split('.')[-1], to.split('.')[0]) if o in ids[page]), '')
    for name in ids:
        p,base = site/name,os.path.dirname(name)
        def mended(m):
            page = os.path.normpath(os.path.join(base, m[1])).replace('\\', '/')
            return f'href="{m[1]}{shown(page, m[2])}"' if f'{page}#{m[2]}' in known and page in ids else m[0]
        write(p, re.sub(r'href="([^"#:]+)#([^"]+)"', mended, read(p)))

def root_404(site, host):
    "The page 404 is shown at any depth: its links start at the root of the host; it is no page to find"
    base = urlsplit(host).path.rstrip('/')
    p = site/'404.html'
    s = re.sub(r'((?:href|src|content)=["\'])\./?(?=["\'])', rf'\1{base}/', read(p))
    write(p, re.sub(r'((?:href|src)=["\'])(?:\./)?(?![\w+-]+:|/|#|\.\.)', rf'\1{base}/', s))
    found = [o for o in json.loads(read(site/'search.json')) if not o['href'].startswith('404.html')]
    write(site/'search.json', json.dumps(found, ensure_ascii=False))
    p = site/'sitemap.xml'
    write(p, re.sub(r'\s*<url>(?:(?!</url>).)*404\.html.*?</url>', '', read(p), flags=re.S))
