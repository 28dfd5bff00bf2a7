"""Does it work with the newest and with the lowest of everything that it requires?

`python tools/matrix.py` makes an environment by uv for each Python that is here and each resolution, lets
`tools/stranger.py` live in it, and writes each row to the table in CONTRIBUTING.md."""
import argparse, json, os, re, shutil, subprocess, sys, tempfile, time
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root/'tools'))
import stranger

pythons = '3.10 3.11 3.12 3.13 3.14'.split()
# highest: the newest of all; lowest-direct: the floors of settings.ini, all else the newest
resolutions = {'highest':pythons, 'lowest-direct':['3.10','3.11']} # a floor has no wheels for Pythons that came later
named = 'fastai torch torchvision timm fastcore'.split()
columns = ['python','resolution',*named,'tried','result']
begin,end = '<!-- matrix -->','<!-- /matrix -->'

def uv(*args, **kw):
    "Run uv, which is in the developers' requirements"
    found = shutil.which('uv', path=f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}')
    if not found: raise SystemExit("uv is missing: pip install -e '.[dev]', or pip install uv")
    return stranger.quiet([found, *args], env=stranger.clean(**installed()), **kw)

def installed()->dict: # For `env=`
    "Several Pythons are chosen among by pyenv, if it is there, with all that it has"
    if not shutil.which('pyenv'): return {}
    found = subprocess.run(['pyenv', 'versions', '--bare'], capture_output=True, text=True).stdout.split()
    return dict(PYENV_VERSION=':'.join(found)) if found else {}

def here(
    python, # Such as '3.12'
)->bool: # Is it on this machine?
    try: uv('python', 'find', '--no-python-downloads', python)
    except stranger.Failed: return False
    return True

def tried(
    python, # Such as '3.12'
    resolution, # A key of `resolutions`
)->dict: # A row of the table
    "An environment, and a stranger in it"
    with tempfile.TemporaryDirectory() as d:
        env,project = Path(d)/'env',stranger.copied(Path(d)/'project')
        at = env/'bin'/'python'
        row = dict(python=python, resolution=resolution, tried=time.strftime('%Y-%m-%d'))
        try:
            uv('venv', '-q', '--no-python-downloads', '--python', python, env)
            uv('pip', 'install', '-q', '--python', at, '--resolution', resolution, project)
        except stranger.Failed as e:
            print(e, flush=True)
            return dict(row, result='cannot be installed')
        row.update(json.loads(stranger.quiet([at, '-c', stranger.versions_code])))
        command = [sys.executable, root/'tools'/'stranger.py', '--python', at]
        r = subprocess.run(command, text=True, stdout=subprocess.PIPE)
        print(r.stdout, flush=True)
        failed = re.search(r'^FAILED +[\d.]+ s +(.*)', r.stdout, re.M)
        if failed: return dict(row, result=f'fails: {failed[1]}')
        return dict(row, result='fails' if r.returncode else 'passes')

def read_table(
    text, # Markdown
)->list: # Rows as `tried` gives them
    lines = [o.strip('|').split('|') for o in text.splitlines() if o.startswith('|')]
    return [dict(zip(columns, o)) for o in lines[2:]]

def table(
    rows, # Of `tried`
)->str: # Markdown
    body = [[o.get(k, '') for k in columns] for o in rows]
    return '\n'.join('|'+'|'.join(o)+'|' for o in [columns, ['---']*len(columns), *body])

def key(row): return list(resolutions).index(row['resolution']),[int(o) for o in row['python'].split('.')[:2]]

def merged(
    old, # Rows that were there
    new, # Rows of now
)->list: # A row that was tried stays until it is tried again
    res = {str(key(o)):o for o in old}
    for o in new:
        if o['result']!='not run here' or str(key(o)) not in res: res[str(key(o))] = o
    return sorted(res.values(), key=key)

def write(
    rows, # Of `tried`
):
    "Put `rows` into the table between the marks in CONTRIBUTING.md"
    p = root/'CONTRIBUTING.md'
    s = p.read_text(encoding='utf-8')
    before,_,found = s.partition(begin)
    old,mark,after = found.partition(end)
    if not mark: raise SystemExit(f'CONTRIBUTING.md holds no {begin} ... {end}')
    p.write_text(f'{before}{begin}\n{table(merged(read_table(old), rows))}\n{end}{after}', encoding='utf-8')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--python', nargs='+', choices=pythons, help='take these only')
    names = list(resolutions)
    p.add_argument('--resolution', nargs='+', choices=names, default=names, help='take these only')
    p.add_argument('--summary', help='file to which the table is added')
    args = p.parse_args()
    rows = []
    for r in args.resolution:
        for v in resolutions[r]:
            if args.python and v not in args.python: continue
            print(f'Python {v}, {r}', flush=True)
            rows.append(tried(v, r) if here(v) else dict(python=v, resolution=r, result='not run here'))
            write(rows)
    text = table(rows)
    print(text)
    if args.summary: Path(args.summary).open('a', encoding='utf-8').write(text+'\n')
    return int(any(o['result'] not in ('passes','not run here') for o in rows))

if __name__=='__main__': sys.exit(main())
