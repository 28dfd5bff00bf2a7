"What nbdev does: hidden cells gone, signatures and tables of parameters in"
import ast, multiprocessing, os, re, shutil, sys, warnings
from pathlib import Path
from .project import nbs, pkg, root

def trick_doc(trick, **kwargs):
    "What `show_doc` shows of a trick: what it is made of, called as people call it, without `spec`"
    from nbdev.showdoc import BasicMarkdownRenderer
    res = BasicMarkdownRenderer(trick.source, name=trick.source.__name__, **kwargs)
    res.dm.dm.pop('spec', None)
    return res

def show_tricks():
    "Let `show_doc` show tricks"
    import nbdev.showdoc
    from fastai_tricks.base.trick import Trick
    plain = nbdev.showdoc.show_doc
    def show_doc(sym, **kwargs): return trick_doc(sym, **kwargs) if isinstance(sym, Trick) else plain(sym, **kwargs)
    nbdev.showdoc.show_doc = show_doc

def know_own_names():
    "Import a page's own module before its signatures are made: one may name a class that is defined further down"
    import nbdev.processors as proc
    begin = proc.exec_show_docs.begin
    def with_module(self):
        begin(self)
        found = (re.match(r'#\|\s*default_exp:?\s+(\S+)', c.source or '') for c in self.nb.cells)
        module = next((m[1] for m in found if m), None)
        if module: self.k.run_cell(f'from {pkg}.{module} import *')
    proc.exec_show_docs.begin = with_module

def is_for_signatures(cell)->bool:
    "Is a cell exported, a call of `show_doc`, or nothing but imports?"
    if cell.cell_type!='code' or cell.directives_.get('eval', '').lower()=='false': return False
    if cell.directives_.keys() & {'export', 'exports', 'exporti', 'exec_doc'}: return True
    tree = cell.parsed_() or []
    return all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in tree) or 'show_doc(' in cell.source

def run_little():
    "Run only cells that signatures need: nbdev takes a test for one that imports something inside of it"
    import nbdev.processors as proc
    proc._do_eval = is_for_signatures

def process(args):
    "Process one notebook, in a process of its own: its cells are run for signatures, and must not meet another page's"
    import nbdev.serve_drv
    know_own_names()
    run_little()
    show_tricks()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        nbdev.serve_drv.main(args)

def process_each(f, files, **kwargs):
    "`process` for each of `files`, two at a time; called by nbdev in the place of its `parallel`"
    files = list(files)
    if not files: return
    method = 'fork' if sys.platform=='linux' else 'spawn' # a fork has fastai imported already
    n = min(2, os.cpu_count() or 1)
    with multiprocessing.get_context(method).Pool(n, maxtasksperchild=1) as pool: pool.map(process, files, chunksize=1)

def processed(to):
    "Notebooks as nbdev prepares them for a page, copied to the folder `to`"
    sys.path.insert(0, str(root)) # signatures are read from this checkout
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        import fastai_tricks.all
        import nbdev.quarto, nbdev.serve
    nbdev.quarto._ensure_quarto = lambda: None # without Quarto's program nbdev would start to install it
    nbdev.serve.parallel = process_each
    here = Path.cwd()
    shutil.rmtree(root/'_proc', ignore_errors=True) # nbdev keeps pages whose notebook is older, whatever made them
    try: nbdev.quarto.nbdev_proc_nbs.__wrapped__(path=str(nbs))
    except BaseException: # half a page would be taken for a whole one the next time
        shutil.rmtree(root/'_proc', ignore_errors=True)
        raise
    finally: os.chdir(here)
    shutil.copytree(root/'_proc', to, ignore=shutil.ignore_patterns('_docs', '.ipynb_checkpoints'))
