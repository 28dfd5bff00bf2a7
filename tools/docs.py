"""The README and the site from the notebooks, with nothing but the dev requirements:

  python tools/docs.py readme    README.md from nbs/index.ipynb, which is run anew if it does not list every trick;
                                 and the shelf, see tools/shelf.py
  python tools/docs.py site      the site in _docs/: nbdev's processing, then smalldocs; Quarto reads nbs/_quarto.yml
  python tools/docs.py serve     show it at http://localhost:3000

How, stands in the rooms of tools/pages, in this order:
project, chapters, markdown, processed, cards, figures, source, links, rendered."""
import argparse, shutil, subprocess, sys, tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))
import shelf
from pages.links import check_site
from pages.markdown import list_tricks, readme
from pages.processed import processed
from pages.project import project, root, tracked, write
from pages.rendered import link_to_shown, mend_html, root_404
from pages.source import mend_source

# ---- the site

def render(src)->Path:
    "Render the folder `src`; the folder of the pages"
    code = 'import sys; from smalldocs.cli import main; sys.exit(main())'
    command = [sys.executable, '-c', code, 'render', '--strict', '--quiet', str(src)]
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode: raise SystemExit(f'The site cannot be rendered:\n{r.stdout}{r.stderr}')
    return src/'_docs'

def lay(files, folder):
    "Write `files`, path to bytes, below `folder`"
    for path,data in files.items():
        (folder/path).parent.mkdir(parents=True, exist_ok=True)
        (folder/path).write_bytes(data)

def site(to=None)->Path:
    "Build the site in the folder `to`, `_docs` if None; stops with a list of what is wrong with it"
    to = Path(to or root/'_docs')
    with tempfile.TemporaryDirectory() as d:
        src = Path(d)/'src'
        processed(src)
        made = mend_source(src)
        out = render(src)
        lay(made['files'], out)
        mend_html(out, made['sources'])
        link_to_shown(out)
        root_404(out, made['host'])
        errors = check_site(out, made['host'], project()['urls']['Repository'], tracked())
        if errors: raise SystemExit('Links that lead nowhere:\n' + '\n'.join(errors))
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(out, to)
    (to/'.nojekyll').touch() # GitHub would leave out files with an underscore
    return to

# ---- a look at it

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

# ---- the command

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['readme', 'site', 'serve'])
    p.add_argument('--port', type=int, default=3000, help='for `serve`; 0 takes a free one')
    a = p.parse_args()
    if a.what=='site': print(site()/'index.html')
    elif a.what=='serve': serve(port=a.port)
    else:
        list_tricks()
        write(root/'README.md', readme())
        shelf.main()
        print(root/'README.md')

if __name__=='__main__': main()
