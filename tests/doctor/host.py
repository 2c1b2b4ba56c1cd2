"""A host for the doctor: a tree of Nginx files with the role's own beside it, and the traps that the tree's comments name."""

from __future__ import annotations

import grp
import os
import pwd
import re
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.intermission.django.plugins.module_utils.doctor_host import dump, known_user, look, read
from ansible_collections.intermission.django.plugins.module_utils.nginx import write_pages
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory
from ansible_collections.intermission.django.plugins.plugin_utils.doctor import Finding
from ansible_collections.intermission.django.plugins.plugin_utils.doctor_rules import examine

from certificates import Authority
from nginx.rendering import RenderedRole, render
from nginx.site import NGINX

TREES = Path(__file__).parent / "trees"
NAMES = ["shop.example", "www.shop.example"]
WORKER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
MARK = re.compile(r"# trap: (.+)$")
ANY_ROOT = "/root-of-the-host"
PORTS = {"80": "27090", "443": "27443"}  # Nginx binds them for its test, which only root may do below 1024
TLS = {
    "certificate": f"{ANY_ROOT}/tls/certificate.pem",
    "key": f"{ANY_ROOT}/tls/key.pem",
    "listen": [PORTS["443"]],
    "hsts": 31536000,
}


@dataclass
class Host:
    """Nginx's files below ``root``, as the role and the user have made them; nothing runs."""

    root: Path
    form: str = "snippet"
    tls: bool = False
    rate: int = 100
    pages: dict[str, str] = field(default_factory=dict)

    def install(self, *trees: str) -> None:
        """Write the files of the trees, later ones over earlier ones, and those of the role."""
        (self.root / "tls").mkdir()
        certificate, key = Authority(self.root / "tls").issue(*NAMES)
        certificate.rename(self.root / "tls/certificate.pem")
        key.rename(self.root / "tls/key.pem")
        for tree in trees:
            for source in sorted(path for path in (TREES / tree).rglob("*") if path.is_file()):
                target = self.root / source.relative_to(TREES / tree)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self.filled(source.read_text(encoding="utf-8")), encoding="utf-8")
        for name in ("conf.d", "snippets", "sites-enabled"):
            (self.root / name).mkdir(exist_ok=True)
        role = _rendered(self.form, self.tls)
        files, self.pages = (
            {self.here(path): self.here(content) for path, content in made.items()} for made in (role.files, role.pages)
        )
        for path, content in files.items():
            Path(path).write_text(content, encoding="utf-8")
        self.state.make()
        write_pages(self.pages)

    def here(self, text: str) -> str:
        """Put this host's root into what was rendered for any."""
        return text.replace(ANY_ROOT, str(self.root))

    def filled(self, text: str) -> str:
        """Put this host's places into the text of a tree, line by line."""
        group = grp.getgrgid(pwd.getpwnam(WORKER).pw_gid).gr_name
        text = text.replace("@ROOT@", str(self.root)).replace("@USER@", f"{WORKER} {group}")
        return re.sub(r"(?m)^(\s*listen\s+(?:\[::\]:|\*:)?)(80|443)\b", lambda found: found[1] + PORTS[found[2]], text)

    @property
    def state(self) -> StateDirectory:
        """Give the site's state directory."""
        return StateDirectory(str(self.root / "state"), "shop")

    @property
    def command(self) -> str:
        """Give the command that makes Nginx dump its configuration."""
        return f"{NGINX} -p {self.root}/ -c {self.root}/nginx.conf -T"

    def examine(self) -> list[Finding]:
        """Do what the module and the action do."""
        reading = {
            "site": "shop",
            "names": NAMES,
            "rate": self.rate,
            "worker_user": WORKER,
            **read(str(self.root / "state"), "shop", self.pages),
            **dump(self.command, 60),
        }
        return examine(
            reading, lambda paths, user, pid: {path: look(path, known_user(user, WORKER), pid) for path in paths}
        )

    def found(self) -> set[tuple[str, int | None, str]]:
        """Examine, and give file, line, and id with severity of what was found."""
        return {(os.path.relpath(one.file, self.root), one.line, f"{one.id} {one.severity}") for one in self.examine()}

    def marked(self) -> set[tuple[str, int | None, str]]:
        """Give the traps that the comments of the tree name."""
        return {
            (str(path.relative_to(self.root)), number, trap)
            for path in self.root.rglob("*")
            if path.is_file() and path.suffix != ".sock"
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if (mark := MARK.search(line))
            for trap in mark[1].split(", ")
        }


def _rendered(form: str, tls: bool) -> RenderedRole:
    """Render the role for the place ANY_ROOT."""
    return render(
        {
            "intermission_site": "shop",
            "intermission_server_names": NAMES,
            "intermission_state_root": f"{ANY_ROOT}/state",
            "maintenance_page_form": form,
            "maintenance_page_conf_dir": f"{ANY_ROOT}/conf.d",
            "maintenance_page_snippet_dir": f"{ANY_ROOT}/snippets",
            "maintenance_page_listen": [PORTS["80"]],
            "maintenance_page_app_socket": f"{ANY_ROOT}/app.sock",
            "maintenance_page_document_root": f"{ANY_ROOT}/www",
            "maintenance_page_static": {"/static/": f"{ANY_ROOT}/www"},
            "maintenance_page_tls": TLS if tls else {},
        }
    )
