"""The page's modules: a name that one imports from another is exported there."""

import importlib.resources
import posixpath
import re

WEB = importlib.resources.files("attn_jax.plot.viewer") / "web"


def modules():
    folders = {"": WEB, "views/": WEB / "views"}
    files = [(start + file.name, file) for start, at in folders.items() for file in at.iterdir()]
    return {name: file.read_text("utf-8") for name, file in files if name.endswith(".js")}


def test_what_is_imported_is_exported_and_used():
    sources = modules()
    imports = 0
    for path, source in sources.items():
        for names, target in re.findall(r'import \{([^}]*)\} from "([^"]+)"', source):
            exporter = sources[posixpath.normpath(posixpath.join(posixpath.dirname(path), target))]
            for name in names.replace("\n", " ").split(","):
                exported, used = name.split()[0], name.split()[-1]
                assert re.search(rf"^export .*\b{exported}\b", exporter, re.MULTILINE), (path, name)
                assert len(re.findall(rf"\b{used}\b", source)) > 1, (path, name)
                imports += 1
    assert imports > 30
