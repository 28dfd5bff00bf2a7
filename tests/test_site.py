"The site: built once by its own command, every link followed, then read in a browser"
import base64, html, json, os, re, shutil, subprocess, sys, threading, urllib.error, urllib.request
from pathlib import Path
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent/'tools'))
pytest.importorskip('smalldocs', reason='smalldocs needs Python 3.11')
import docs
from pages.chapters import chapters, page_name, pages_of
from pages.figures import figure_text, take_figures
from pages.project import directives, nbs, project, read, root, tracked

repo = project()['urls']['Repository']

@pytest.fixture(scope='module')
def site():
    "The folder of the built site"
    build = [sys.executable, '-W', 'ignore', 'tools/docs.py', 'site']
    r = subprocess.run(build, cwd=root, capture_output=True, text=True, timeout=900)
    assert r.returncode==0, r.stdout[-3000:]+r.stderr[-3000:]
    return root/'_docs'

@pytest.fixture(scope='module')
def pages(site): return {p.relative_to(site).as_posix():read(p) for p in sorted(site.rglob('*.html'))}

def test_links_and_places_on_pages_resolve(site):
    assert docs.check_site(site, 'https://fastai-tricks.github.io/fastai_tricks', repo, tracked())==[]

def test_the_check_finds_what_it_should(tmp_path):
    links = ['b.html', 'a.html#x', '#y', 'https://me.example/s/a.html', '/s/a.html', '/s/c.html']
    text = ''.join(f'<a href="{o}">l</a>' for o in links)
    text += '<h2 id="y"></h2><script src="https://cdn.example/k.js"></script><img src="no.png">'
    (tmp_path/'a.html').write_text(text)
    errors = docs.check_site(tmp_path, 'https://me.example/s')
    assert [o.split(': ', 1)[1] for o in errors]==[
        '/s/c.html: no such file',
        'a.html#x: no such place on the page',
        'b.html: no such file',
        'https://cdn.example/k.js: is loaded from another host',
        'https://me.example/s/a.html: names our own host; link by path',
        'no.png: no such file']

def test_the_check_finds_sources_that_are_not_there(tmp_path):
    n = len((root/'LICENSE').read_text(encoding='utf-8').splitlines())
    links = ['LICENSE', f'LICENSE#L{n}', f'LICENSE#L{n+1}', 'LICENSE#LNone', 'nbs/mixup.ipynb']
    (tmp_path/'a.html').write_text(''.join(f'<a href="{repo}/blob/main/{o}">l</a>' for o in links))
    errors = docs.check_site(tmp_path, '', repo, tracked())
    assert [o.split('/main/')[1] for o in errors]==[
        f'LICENSE#L{n+1}: no such line, the file has {n}',
        f'LICENSE#LNone: no such line, the file has {n}',
        'nbs/mixup.ipynb: no such file in the repository']

class Quiet(docs.Handler):
    def log_message(self, *args): pass

# ---- sources

def test_view_source_leads_to_the_notebook_of_the_page(pages):
    made = {f'{v}.html':f'nbs/{k}.ipynb' for k,v in pages_of().items()}
    made |= {'changelog.html':'CHANGELOG.md', '404.html':'tools/pages/source.py'}
    assert set(made)==set(pages)
    for nm,s in pages.items():
        links = [o for o in re.findall(r'<a [^>]*>.*?</a>', s, re.S) if 'View source' in o]
        assert [re.search('href="(.*?)"', o)[1] for o in links]==[f'{repo}/blob/main/{made[nm]}'], nm

def test_the_source_of_a_symbol_is_the_line_that_defines_it(pages):
    link = rf'{re.escape(repo)}/blob/main/([\w/]+\.py)#L(\d+)".*?<h3[^>]*>(.*?)<'
    seen = 0
    for nm,s in pages.items():
        for path,line,sym in re.findall(link, s, re.S):
            text = read(root/path).splitlines()[int(line)-1]
            own = html.unescape(sym).split('.')[-1]
            assert re.match(rf'\s*(async def|def|class) {re.escape(own)}\b', text), (nm, sym, path, line)
            seen += 1
    assert seen >= 150 and not any('LNone' in s for s in pages.values())

def test_a_trick_is_shown_as_it_is_called(pages):
    "By the signature of its callback, or of its function without the first argument; not as `Trick.__call__`"
    import fastai_tricks.all as ours
    text = {nm:html.unescape(re.sub(r'<[^>]*>', '', s)) for nm,s in pages.items()}
    assert 'def MixUp(\n    alpha:float=0.2, # λ ~ Beta(alpha, alpha)' in text['target.mixup.html']
    for t in ours.tricks.values():
        page = text.get(f'{t.home}.html', '')
        assert not re.search(rf'def {t.source.__name__}\(\s*spec\b', page), t.name
    assert not [nm for nm,s in text.items() if 'Trick.__call__' in s]

# ---- pages as Markdown

def test_every_page_has_its_markdown(site, pages):
    for nm,s in pages.items():
        if nm=='404.html': continue
        md = (site/f'{nm}.md').read_text(encoding='utf-8')
        title = re.sub(r'<[^>]*>', '', re.search(r'<h1[^>]*>(.*?)</h1>', s, re.S)[1]).strip()
        assert md.splitlines()[0].replace('`', '')==f'# {html.unescape(title)}', nm
        assert f'href="{Path(nm).name}.md"' in s, nm
        outside = re.sub(r'^(`{3,}).*?^\1|`[^`\n]*`', '', md, flags=re.S|re.M)
        for left in ('<svg', '#|', ':::', 'base64', '{target'): assert left not in outside, (nm, left)
        for to in re.findall(r'\]\((?!\w+:|#)([^)\s#]+)', outside): assert ((site/nm).parent/to).exists(), (nm, to)

def test_docstrings_of_modules_lead_to_markdown(site):
    home = project()['urls']['Documentation']
    modules = (root/'fastai_tricks').rglob('*.py')
    seen = [m for p in modules for m in re.findall(r'^Docs: (\S+?)"*$', read(p), re.M)]
    assert len(seen)>=20
    for o in seen: assert o.startswith(home) and (site/o[len(home):]).exists(), o

def test_llms_txt_lists_every_page_with_a_line(site, pages):
    text,home = (site/'llms.txt').read_text(encoding='utf-8'),project()['urls']['Documentation']
    lines = re.findall(rf'^- \[(.+)\]\({re.escape(home)}(\S+)\.md\): (.+)$', text, re.M)
    assert sorted(o[1] for o in lines)==sorted(set(pages)-{'404.html'}) and text.startswith('# fastai_tricks\n\n> ')
    assert min(len(o[2]) for o in lines)>20

# ---- the way from page to page

def test_previous_and_next_lead_through_all_pages(pages):
    def to(nm, side):
        m = re.search(rf'<div class="nav-page nav-page-{side}"><a href="([^"]*)"', pages[nm])
        return m and os.path.normpath(os.path.join(os.path.dirname(nm), m[1]))
    way = ['index.html']
    while (nxt := to(way[-1], 'next')):
        assert to(nxt, 'previous')==way[-1] and nxt not in way
        way.append(nxt)
    assert way[1]=='install.html' and way[-1]=='changelog.html' and set(way)==set(pages)-{'404.html'}

def test_a_page_that_is_not_there_is_answered_at_any_depth(site):
    server,url = docs.server(site, 0, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for o in ('no.html', 'a/b/no.html', 'tutorials/'):
            with pytest.raises(urllib.error.HTTPError) as e: urllib.request.urlopen(url+o, timeout=20)
            assert e.value.code==404
        answer = e.value.read().decode()
        styles = re.findall(r'<link[^>]*href="([^"]*\.css)"', answer)
        assert 'No such page' in answer and len(styles)>=3
        start = url.split('/fastai_tricks/')[0]
        for o in styles: assert urllib.request.urlopen(start+o, timeout=20).status==200
    finally:
        server.shutdown()
        server.server_close()

def test_nobody_finds_404(site):
    for o in ('search.json','sitemap.xml','llms.txt'):
        text = read(site/o)
        assert '404.html' not in text and 'install.html' in text

def test_version_and_changes(pages):
    import fastai_tricks
    for nm,s in pages.items():
        foot = re.search(r'<footer.*?</footer>', s, re.S)[0]
        assert f'fastai_tricks {fastai_tricks.__version__},' in foot and 'changelog.html"' in foot, nm
    heads = re.findall(r'^## (.+)$', (root/'CHANGELOG.md').read_text(encoding='utf-8'), re.M)
    assert heads and all(o in pages['changelog.html'] for o in heads)

def test_install_names_every_extra_and_the_oldest_python(pages):
    import configparser
    given = configparser.ConfigParser()
    given.read(root/'settings.ini', encoding='utf-8')
    given = given['DEFAULT']
    table = re.search(r'<th>extra</th>.*?</table>', pages['install.html'], re.S)[0]
    extras = {k.removesuffix('_requirements') for k in given if k.endswith('_requirements')}
    assert set(re.findall(r'<td><code>(\w+)</code></td>', table))==extras
    assert f"Python {given['min_python']} or newer" in pages['install.html']
    assert f'pip install git+{repo}' in pages['install.html'].replace('</span>', '').replace('<span class="op">', '')

# ---- figures

def kept(notebook)->int:
    "Number of figures among the outputs that the page shows"
    cells = [c for c in json.loads(read(notebook))['cells'] if 'hide' not in directives(''.join(c['source']))]
    outputs = [o.get('data', {}) for c in cells for o in c.get('outputs', [])]
    return sum(any(k.startswith('image/') for k in o) for o in outputs)

def test_every_figure_is_shown_once(pages, site):
    shown = {nm:re.findall(r'<img[^>]*src="[^"]*(figures/[^"]*)"', s) for nm,s in pages.items()}
    n_kept = {f'{v}.html':kept(nbs/f'{k}.ipynb') for k,v in pages_of().items()}
    assert sum(n_kept.values())>=30 and {k:len(shown[k]) for k in n_kept}==n_kept
    assert {o for v in shown.values() for o in v}=={p.relative_to(site).as_posix() for p in (site/'figures').iterdir()}

def test_notebooks_keep_a_png_beside_each_svg():
    "JupyterLab shows no SVG of a notebook that it does not trust"
    lacking = []
    for k in pages_of():
        cells = json.loads(read(nbs/f'{k}.ipynb'))['cells']
        outputs = [o.get('data', {}) for c in cells for o in c.get('outputs', [])]
        if any('image/svg+xml' in o and 'image/png' not in o for o in outputs): lacking.append(k)
    assert lacking==[], 'nbdev-test nbs/NAME.ipynb --save makes them anew'

def test_every_picture_has_a_text(pages):
    for nm,s in pages.items():
        for o in re.findall(r'<img[^>]*>', s):
            alt = re.search(r'alt="([^"]*)"', o)
            assert alt and len(alt[1])>=10, (nm, o)
        assert '<svg' not in s, nm # drawn in the page it would have none

def drawn(fig):
    import io
    b = io.BytesIO()
    fig.savefig(b, format='svg')
    return b.getvalue().decode()

def test_a_figure_says_what_is_written_in_it():
    import matplotlib
    from matplotlib.figure import Figure
    fig = Figure()
    ax = fig.subplots()
    ax.plot([0,1], [0,1], label='cosine')
    ax.legend()
    ax.annotate('steps', (0,0))
    ax.set(xlabel='epoch', ylabel='rate, per cent', title='One < two & three')
    words = 'One < two & three. rate, per cent against epoch: steps, cosine'
    assert figure_text(drawn(fig))==words
    with matplotlib.rc_context({'svg.fonttype':'none'}): assert figure_text(drawn(fig))==words

def test_images_are_counted_and_named():
    from matplotlib.figure import Figure
    fig = Figure()
    for ax,nm in zip(fig.subplots(1, 2), ('Boot','Bag\nBag')):
        ax.imshow([[0,1],[1,0]])
        ax.set(title=nm)
        ax.axis('off')
    assert figure_text(drawn(fig))=='2 images: Boot; Bag Bag' and figure_text(drawn(Figure()))==''

def laid(*kinds, src='show_batch(dls)'):
    "Files and HTML of a figure that a notebook keeps in `kinds`"
    svg = '<svg xmlns="s"><g id="figure_1"></g></svg>'
    all_kinds = {'image/png':base64.b64encode(b'png').decode(), 'image/svg+xml':svg}
    data = {k:all_kinds[k] for k in kinds} | {'text/plain':['<Figure size 9x9 with 8 Axes>']}
    head = dict(cell_type='markdown', source='## [`dls`](a.html)')
    cell = dict(cell_type='code', source=src, outputs=[dict(data=data)])
    return take_figures(dict(cells=[head, cell]), 'a/b'),cell['outputs'][0]['data']['text/html']

def test_of_two_kinds_the_sharp_one_is_shown():
    files,shown = laid('image/png','image/svg+xml')
    assert list(files)==['figures/a-b-1.svg'] and files['figures/a-b-1.svg'].startswith(b'<svg')
    assert shown.startswith('<img src="../figures/a-b-1.svg"') and 'alt="dls, 8 images of show_batch(dls)"' in shown
    assert laid('image/png')[0]=={'figures/a-b-1.png':b'png'}

def test_a_cell_may_say_what_its_figure_shows():
    assert 'alt="Two &lt;boots&gt;"' in laid('image/png', src='#| fig-alt: "Two <boots>"\nshow_batch(dls)')[1]

def test_boxes_scroll_by_keyboard_and_have_a_name(pages):
    for nm,s in pages.items():
        boxes = re.findall(r'<pre[^>]*>', s)
        tables = re.findall(r'(<div class="sd-table"[^>]*>)?<table', s)
        assert all('tabindex="0"' in o and 'aria-label="' in o for o in boxes+tables), nm

def test_links_of_the_readme_are_whole_and_lead_somewhere(site):
    text,home = docs.readme(),project()['urls']['Documentation']
    links = re.findall(r'\]\(([^)\s]+)\)', text)
    assert links and all(re.match(r'https://|#', o) for o in links), links
    for o in links:
        if o.startswith(home): assert (site/(o[len(home):].split('#')[0] or 'index.html')).exists(), o
        m = re.match(re.escape(repo.replace('github.com', 'raw.githubusercontent.com')) + r'/main/(.*)', o)
        if m: assert m[1] in tracked(), o

def test_every_notebook_has_a_page_in_a_chapter(site):
    from nbdev.doclinks import nbglob
    names = [page_name(Path(o).relative_to(nbs)) for o in nbglob(str(nbs))]
    assert len(names)>=25
    for o in names: assert (site/f'{o}.html').exists(), o
    side = json.dumps(chapters(nbs))
    assert [o for o in names if f'"{o}.ipynb"' not in side]==[]

def test_every_trick_has_a_card(pages):
    import fastai_tricks.all as ours
    def words(s): return html.unescape(re.sub(r'<[^>]*>|`', '', s)).replace('\u2019', "'")
    made = [o for o in ours.tricks.values() if f'{o.home}.html' in pages] # others were made by a test
    assert len(made)>=20
    for o in made:
        page = words(pages[f'{o.home}.html'])
        assert words(o.doc) in page and (f'{o.name}: ' in page or f'{o.name}(' in page), o.name

def test_formulas_are_drawn_by_the_browser(site):
    s = read(site/'train.schedule.html')
    first = s.split('</math>')[0].split('<math')[-1].split('annotation')[0]
    assert '<math' in s and '\\frac' not in first and 'katex' not in s

def test_serve_shows_the_site(site):
    command = [sys.executable, '-u', 'tools/docs.py', 'serve', '--port', '0']
    p = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r'http://\S+', p.stdout.readline())[0]
        assert b'fastai_tricks' in urllib.request.urlopen(url, timeout=20).read()
    finally:
        p.terminate()
        p.wait()

# ---- in a browser

def chromium():
    "Path of an installed Chromium or Chrome, by the names under which it is found; `CHROMIUM` names another one"
    found = (shutil.which(o) for o in ('chromium', 'chromium-browser', 'google-chrome', 'chrome'))
    return os.environ.get('CHROMIUM') or next((o for o in found if o), None)

flags = '''no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
    disable-component-update disable-sync'''.split()

@pytest.fixture(scope='module')
def browser():
    exe = chromium()
    if exe is None: pytest.skip('no Chromium is installed: `apt install chromium`, or set CHROMIUM to its path')
    api = pytest.importorskip('playwright.sync_api', reason='`pip install playwright`')
    with api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=exe, args=[f'--{o}' for o in flags])
        yield b
        b.close()

@pytest.fixture(scope='module')
def url(site):
    server,url = docs.server(site, 0, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield url.rstrip('/')
    server.shutdown()
    server.server_close()

class Visit:
    "A page, with what its console said and whom it asked"
    def __init__(self, browser, width=1280, height=900, mode='light'):
        self.context = browser.new_context(viewport=dict(width=width, height=height), color_scheme=mode)
        self.page,self.errors,self.asked = self.context.new_page(),[],[]
        self.page.on('console', lambda m: self.errors.append(m.text) if m.type=='error' else None)
        self.page.on('pageerror', lambda e: self.errors.append(str(e)))
        self.page.on('request', lambda r: self.asked.append(r.url))
    def __enter__(self): return self
    def __exit__(self, *args): self.context.close()
    def go(self, address, until='networkidle'):
        self.page.goto(address, timeout=90_000)
        self.page.wait_for_load_state(until, timeout=90_000)
        return self.page

@pytest.mark.parametrize('every', (5, pytest.param(1, marks=pytest.mark.slow)))
def test_no_page_complains_or_asks_another_host(browser, url, site, every):
    with Visit(browser) as v:
        for p in sorted(site.rglob('*.html'))[::every]: v.go(f'{url}/{p.relative_to(site).as_posix()}')
        assert v.errors==[]
        assert [o for o in v.asked if not o.startswith((url, 'data:', 'blob:'))]==[]

def search(page, text):
    "Addresses of what the search finds for `text`, best first"
    page.locator('input[type=search]:visible, .smalldocs-search input:visible').first.fill(text)
    page.locator('.smalldocs-search-results.show .search-result').first.wait_for(timeout=30_000)
    page.wait_for_timeout(300)
    return page.evaluate("[...document.querySelectorAll('.smalldocs-search-results.show')]"
                         ".flatMap(o => [...o.querySelectorAll('.search-result')]).map(o => o.getAttribute('href'))")

def test_search_finds_mixup(browser, url):
    with Visit(browser) as v:
        page = v.go(f'{url}/index.html')
        search(page, 'mixup')
        page.locator('a[href*="mixup.html"]:visible').first.click()
        page.wait_for_url('**/target.mixup.html*', timeout=30_000)
        assert page.locator('h1').first.inner_text().strip()=='Mixup' and v.errors==[]

asks = {'install':'install.html', 'kaggle':'install.html#kaggle', 'own photos':'install.html#on-your-own-photos'}

@pytest.mark.parametrize('asked,place', asks.items())
def test_search_finds_what_newcomers_ask(browser, url, asked, place):
    with Visit(browser) as v: found = [o.removeprefix('./') for o in search(v.go(f'{url}/index.html'), asked)]
    assert any(o.startswith(place) for o in found[:2]), found[:3] # the front page has a section on installing

def test_search_works_on_the_page_404(browser, url):
    with Visit(browser) as v:
        page = v.go(f'{url}/a/b/no.html')
        search(page, 'install')
        page.locator('.search-result[href*="/install.html"]').first.click()
        page.wait_for_url('**/install.html*', timeout=30_000)

# axe: https://www.deque.com/axe; contrast of links and bars is one of its serious rules
audited = 'index install target.mixup evidence.ablation cli howto/scale tutorials/first_bag changelog 404'.split()

@pytest.mark.parametrize('mode,width,names',
    [('light',1280,audited), ('dark',1280,audited), ('light',390,audited[:4]), ('dark',390,audited[4:])])
def test_axe_finds_nothing_serious(browser, url, mode, width, names):
    axe = pytest.importorskip('axe_playwright_python', reason='`pip install axe-playwright-python`')
    code = (Path(axe.__file__).parent/'axe.min.js').read_text(encoding='utf-8')
    errors = []
    with Visit(browser, width, mode=mode) as v:
        for nm in names:
            page = v.go(f'{url}/{nm}.html', 'load')
            page.evaluate(code)
            found = page.evaluate("axe.run(document, {resultTypes:['violations']})")
            assert len(found['passes'])>=10 # it has run
            serious = [o for o in found['violations'] if o['impact'] in ('serious','critical')]
            errors += [(nm, o['id'], n['html'][:120]) for o in serious for n in o['nodes'][:3]]
    assert errors==[]

def test_a_wide_box_of_code_scrolls_by_keyboard(browser, url):
    with Visit(browser, 390, 800) as v:
        page = v.go(f'{url}/target.mixup.html')
        boxes = "[...document.querySelectorAll('main pre')]"
        page.evaluate(f'window.wide = {boxes}.find(o => o.scrollWidth > o.clientWidth+40)')
        page.evaluate('wide.focus()')
        page.keyboard.press('ArrowRight')
        page.wait_for_function('wide.scrollLeft > 0', timeout=10_000)

def test_the_sidebar_works_on_a_phone(browser, url):
    with Visit(browser, 390, 800) as v:
        page = v.go(f'{url}/index.html')
        link = page.locator('#quarto-sidebar a[href*="mixup.html"]').first
        def in_view(): return 0 <= link.bounding_box()['x'] < 390
        assert not in_view() # moved out to the left
        buttons = '.quarto-btn-toggle:visible, .quarto-secondary-nav button:visible, [data-bs-target*=sidebar]:visible'
        page.locator(buttons).first.click()
        for _ in range(50):
            if in_view(): break
            page.wait_for_timeout(100)
        assert in_view()
        link.click()
        page.wait_for_url('**/target.mixup.html*', timeout=30_000)
        assert page.evaluate('document.documentElement.scrollWidth') <= 392 # nothing sticks out to the right

@pytest.mark.parametrize('every', (3, pytest.param(1, marks=pytest.mark.slow)))
def test_tables_and_code_scroll_inside_on_a_phone(browser, url, site, every):
    with Visit(browser, 390, 800) as v:
        wide = {}
        for p in sorted(site.rglob('*.html'))[::every]:
            w = v.go(f'{url}/{p.relative_to(site).as_posix()}', 'load').evaluate('document.documentElement.scrollWidth')
            if w>392: wide[p.name] = w
        assert wide=={}

contrast_code = '''() => {
    const linear = o => (o/=255, o<=.03928 ? o/12.92 : ((o+.055)/1.055)**2.4)
    const luminance = color => {
        const [r,g,b] = color.match(/[0-9.]+/g).slice(0,3).map(linear)
        return .2126*r + .7152*g + .0722*b
    }
    const text = luminance(getComputedStyle(document.querySelector('main p')).color)
    const ground = luminance(getComputedStyle(document.body).backgroundColor)
    return [(Math.max(text,ground)+.05)/(Math.min(text,ground)+.05), ground]
}'''

def test_both_modes_are_readable(browser, url):
    contrast,ground = {},{}
    for mode in ('light', 'dark'):
        with Visit(browser, mode=mode) as v:
            contrast[mode],ground[mode] = v.go(f'{url}/target.mixup.html').evaluate(contrast_code)
    assert ground['light'] > .8 and ground['dark'] < .2
    assert min(contrast.values()) >= 7 # WCAG's AAA

def test_every_picture_loads(browser, url, pages):
    with Visit(browser) as v:
        for nm in (o for o,s in pages.items() if 'figures/' in s):
            page = v.go(f'{url}/{nm}', 'load')
            page.evaluate("window.pics = [...document.querySelectorAll('main img')]")
            page.evaluate("pics.forEach(o => o.loading = 'eager')")
            page.wait_for_function('pics.every(o => o.complete)', timeout=30_000)
            small = page.evaluate('pics.filter(o => o.naturalWidth<=40).map(o => o.src)')
            assert small==[], (nm, small)

@pytest.mark.parametrize('chapter,least', [('train',3), ('model',2), ('target',4), ('evidence',1)])
def test_a_chapter_is_shown_by_pictures(pages, chapter, least):
    with_picture = [nm for nm,s in pages.items() if nm.startswith(f'{chapter}.') and '<img' in s]
    assert len(with_picture)>=least, with_picture

def test_the_first_page_has_a_picture(pages): assert '<img' in pages['index.html']
