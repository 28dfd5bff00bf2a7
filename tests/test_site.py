"The site: built once by its own command, every link followed, then read in a browser"
import os, shutil, subprocess, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
pytest.importorskip('smalldocs', reason='smalldocs needs Python 3.11')
import docs

@pytest.fixture(scope='module')
def site():
    "The folder of the built site"
    r = subprocess.run([sys.executable, '-W', 'ignore', 'tools/docs.py', 'site'], cwd=root, capture_output=True, text=True, timeout=900)
    assert r.returncode==0, r.stdout[-3000:]+r.stderr[-3000:]
    return root/'_docs'

def test_links_and_places_on_pages_resolve(site): assert docs.check_site(site, 'https://fastai-tricks.github.io')==[]

def test_the_check_finds_what_it_should(tmp_path):
    (tmp_path/'a.html').write_text('<a href="b.html">b</a><a href="a.html#x">x</a><a href="#y">y</a><h2 id="y"></h2><script src="https://cdn.example/k.js"></script><a href="https://me.example/a.html">me</a><img src="no.png">')
    bad = docs.check_site(tmp_path, 'https://me.example')
    assert [o.rsplit(': ', 1)[1] for o in bad]==['no such place on the page', 'no such file', 'is loaded from another host', 'names our own host; link by path', 'no such file'], bad

def test_every_notebook_has_a_page_in_a_chapter(site):
    from nbdev.doclinks import nbglob
    names = [docs.page_name(Path(o).relative_to(docs.nbs)) for o in nbglob(str(docs.nbs))]
    assert len(names)>=25
    for o in names: assert (site/f'{o}.html').exists(), o
    import json
    side = json.dumps(docs.chapters(docs.nbs))
    assert [o for o in names if f'"{o}.ipynb"' not in side]==[]

def test_every_trick_has_a_card(site):
    import html, re
    import fastai_tricks.all as ours
    words = lambda s: html.unescape(re.sub(r'<[^>]*>|`', '', s)).replace('\u2019', "'")
    for o in ours.tricks.values():
        if not o.func.__module__.startswith('fastai_tricks.'): continue # a trick that another test made
        page = (site/f"{o.func.__module__.split('.')[-1]}.html").read_text(encoding='utf-8')
        assert f'{o.name}: {words(o.doc)}' in words(page) or f'{o.name}(' in words(page) and words(o.doc) in words(page), o.name

def test_formulas_are_drawn_by_the_browser(site):
    s = (site/'schedule.html').read_text(encoding='utf-8')
    assert '<math' in s and '\\frac' not in s.split('</math>')[0].split('<math')[-1].split('annotation')[0] and 'katex' not in s

def test_serve_shows_the_site(site):
    import re, time, urllib.request
    p = subprocess.Popen([sys.executable, '-u', 'tools/docs.py', 'serve', '--port', '0'], cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r'http://\S+', p.stdout.readline())[0]
        assert b'fastai_tricks' in urllib.request.urlopen(url, timeout=20).read()
    finally: p.terminate(); p.wait()

# ---- in a browser

def chromium():
    "Path of an installed Chromium or Chrome, by the names under which it is found; `CHROMIUM` names another one"
    return os.environ.get('CHROMIUM') or next((o for n in ('chromium','chromium-browser','google-chrome','chrome') if (o:=shutil.which(n))), None)

@pytest.fixture(scope='module')
def browser():
    exe = chromium()
    if exe is None: pytest.skip('no Chromium is installed: `apt install chromium`, or set CHROMIUM to its path')
    api = pytest.importorskip('playwright.sync_api', reason='`pip install playwright`')
    quiet = 'no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync'.split()
    with api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=exe, args=[f'--{o}' for o in quiet])
        yield b
        b.close()

@pytest.fixture(scope='module')
def url(site):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
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
    def go(self, address):
        self.page.goto(address, timeout=90_000)
        self.page.wait_for_load_state('networkidle', timeout=90_000)
        return self.page

def test_no_page_complains_or_asks_another_host(browser, url, site):
    with Visit(browser) as v:
        for p in sorted(site.rglob('*.html')): v.go(f'{url}/{p.relative_to(site).as_posix()}')
        assert v.errors==[]
        assert [o for o in v.asked if not o.startswith((url, 'data:', 'blob:'))]==[]

def test_search_finds_mixup(browser, url):
    with Visit(browser) as v:
        page = v.go(f'{url}/index.html')
        page.locator('input[type=search]:visible, .aa-Input:visible, #quarto-search input:visible, [placeholder=Search]:visible').first.click()
        page.keyboard.type('mixup', delay=30)
        hit = page.locator('a[href*="mixup.html"]:visible').first
        hit.wait_for(timeout=30_000)
        hit.click()
        page.wait_for_url('**/mixup.html*', timeout=30_000)
        assert page.locator('h1').first.inner_text().strip()=='Mixup' and v.errors==[]

def test_the_sidebar_works_on_a_phone(browser, url):
    with Visit(browser, 390, 800) as v:
        page = v.go(f'{url}/index.html')
        link = page.locator('#quarto-sidebar a[href*="mixup.html"]').first
        in_view = lambda: 0 <= link.bounding_box()['x'] < 390
        assert not in_view() # moved out to the left
        page.locator('.quarto-btn-toggle:visible, .quarto-secondary-nav button:visible, [data-bs-target*=sidebar]:visible').first.click()
        for _ in range(50):
            if in_view(): break
            page.wait_for_timeout(100)
        assert in_view()
        link.click()
        page.wait_for_url('**/mixup.html*', timeout=30_000)
        assert page.evaluate('document.documentElement.scrollWidth') <= 392 # nothing sticks out to the right

def test_tables_and_code_scroll_inside_on_a_phone(browser, url, site):
    with Visit(browser, 390, 800) as v:
        wide = {}
        for p in sorted(site.rglob('*.html')):
            w = v.go(f'{url}/{p.relative_to(site).as_posix()}').evaluate('document.documentElement.scrollWidth')
            if w>392: wide[p.name] = w
        assert wide=={}

def test_both_modes_are_readable(browser, url):
    def contrast(page):
        return page.evaluate('''() => {
          const lum = c => { const v = c.match(/[0-9.]+/g).slice(0,3).map(o => (o/=255, o<=.03928 ? o/12.92 : ((o+.055)/1.055)**2.4)); return .2126*v[0]+.7152*v[1]+.0722*v[2] };
          const p = document.querySelector('main p'), a = lum(getComputedStyle(p).color), b = lum(getComputedStyle(document.body).backgroundColor);
          return [(Math.max(a,b)+.05)/(Math.min(a,b)+.05), b] }''')
    got = {}
    for mode in ('light','dark'):
        with Visit(browser, mode=mode) as v: got[mode] = contrast(v.go(f'{url}/mixup.html'))
    assert got['light'][1] > .8 and got['dark'][1] < .2
    assert min(o[0] for o in got.values()) >= 7 # WCAG's AAA

def test_a_picture_has_loaded_on_the_page_of_every_refinement(browser, url):
    with Visit(browser) as v:
        for nm in ('schedule','optim','precision','resnet','surgery','targets','mixup','cutmix','distill','ablation','index'):
            page = v.go(f'{url}/{nm}.html')
            page.evaluate('window.scrollTo(0, document.body.scrollHeight)')
            seen = page.evaluate("[...document.querySelectorAll('main img')].filter(o => o.complete && o.naturalWidth>40).length + [...document.querySelectorAll('main svg')].filter(o => o.getBoundingClientRect().width>100).length")
            assert seen>=1, f'no picture on {nm}.html'
