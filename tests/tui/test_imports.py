import subprocess
import sys


def test_the_app_loads_neither_torch_nor_the_screens_it_does_not_show():
    code = (
        "import sys, nightschool.tui.app\n"
        "late = ['torch', 'transformers', 'plotext', 'pyperclip', 'nightschool.tui.screens.study']\n"
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
