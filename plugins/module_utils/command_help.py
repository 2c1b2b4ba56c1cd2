"""What a shell and man(1) know of the command ``intermission``: bash completion and a manual page, made from its options."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.command_line import (
    DONE,
    FAILED,
    MISUSED,
    NOT_ALLOWED,
    VERSION,
    make_parser,
)

COMPLETION = r"""# Completion of {name} for bash. No program is started, and what cannot be read completes nothing.

{function}() {{
    local IFS=$' \t\n' word previous= verb= awaited= site= options={options} valued= used=' ' ended= head prefix=
    local -a words=() places=() found=()
    local -i index
    COMPREPLY=()

    # Bash splits words at = and :, which are put together again
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${{COMP_WORDS[index]-}}
        if ((${{#words[@]}})) && [[ $word == [=:]* || $previous == [=:]* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        previous=$word
    done
    ((${{#words[@]}})) || return 0
    [[ $previous == [=:]* ]] && previous=
    head=${{words[-1]%"$previous"}}

    for word in "${{words[@]:0:${{#words[@]}}-1}}"; do
        if [[ $awaited ]]; then
            awaited=
        elif [[ $word == -- ]]; then
            ended=yes
        elif [[ $word == -* && ! $ended ]]; then
            used+="${{word%%=*}} "
            [[ " $valued " == *" $word "* ]] && awaited=$word
        elif [[ ! $verb ]]; then
            verb=$word
            case $verb in
{verbs}
            *) return 0 ;;
            esac
        else
            [[ ${{places[0]-}} == SITE ]] && site=$word
            places=("${{places[@]:1}}")
        fi
    done

    word=${{words[-1]}}
    if [[ ! $awaited && ! $ended && $word == --*=* ]]; then
        awaited=${{word%%=*}} prefix=${{word%%=*}}=
    fi
    if [[ $awaited ]]; then
        case $verb$awaited in
{values}
        esac
    elif [[ ! $verb && $word != -* ]]; then
        found=({names})
    elif [[ ${{places[0]-}} == SITE && $word != -* ]]; then
        mapfile -t found < <({function}_sites)
    elif [[ ${{places[0]-}} == ID && $word != -* ]]; then
        mapfile -t found < <({function}_windows "$site")
    fi
    if [[ ! $awaited && ! $ended && ($word == -* || (! $word && ! ${{found[*]}})) ]]; then
        for word in $options; do
            [[ $used == *" $word "* ]] || found+=("$word")
        done
        word=${{words[-1]}}
    fi

    for previous in "${{found[@]}}"; do
        [[ $prefix$previous == "$word"* ]] && COMPREPLY+=("${{prefix}}${{previous}}")
    done
    COMPREPLY=("${{COMPREPLY[@]#"$head"}}")
}}

{function}_sites() {{
    local LC_ALL=C path
    shopt -u failglob nocasematch
    for path in {root}/*/; do
        path=${{path%/}} path=${{path##*/}}
        [[ $path =~ ^[a-z][a-z0-9_]*$ ]] && printf '%s\n' "$path"
    done
}}

# Those that wait for their time, and the one that is open
{function}_windows() {{
    local path
    shopt -u failglob
    for path in {root}/"$1"/windows/*/; do
        [[ -L ${{path}}scheduled || $path -ef {root}/$1/on ]] && path=${{path%/}} && printf '%s\n' "${{path##*/}}"
    done
}}

complete -F {function} -- {quoted}
"""

MANUAL = r""".TH {title} 1 "" "{name} {version}" "Intermission"
.SH NAME
{name} \- open, close and look at the maintenance windows of the sites on this host
.SH SYNOPSIS
{synopses}
.SH DESCRIPTION
While a window is open, visitors of its site get a maintenance page, or may read only.
.B {name}
changes this host only, takes effect at the next request, and needs no controller. It follows the same rules as the
playbooks of the Ansible collection intermission.django, and what it does is in the same journal.
.PP
Everybody may look. To open and close a site takes root, or an account of the group that the directory of the site belongs to.
.SH COMMANDS
{commands}
.SH OPTIONS
{options}
.SH EXIT STATUS
{statuses}
.SH FILES
.TP
.I {root}/SITE/on
The flag: the site is closed exactly while this name exists. By hand,
.BR touch (1)
closes it and
.BR rm (1)
opens it.
.TP
.I {root}/SITE/journal.jsonl
Who opened or closed the site, when, from where, and why.
{hooks}.SH EXAMPLES
.EX
{name} on shop \-\-for 10m \-\-reason "Disk is changed"
{name} status
{name} off shop
{name} schedule shop \-\-from "Sun 02:00 Europe/Berlin" \-\-for 30m
.EE
.SH SEE ALSO
.BR systemd.time (7)
"""

HOOKS = r""".TP
.I {hooks}
Executables in
.IR before\-open.d ,
.IR after\-open.d ,
.I before\-close.d
and
.I after\-close.d
run around each opening and closing.
"""

STATUSES = {
    DONE: "Done, or there was nothing to do.",
    FAILED: "Failed; the message says why.",
    MISUSED: "The command makes no sense as it was given, or there is no such site.",
    NOT_ALLOWED: "This account may not do it.",
}


def completion(name: str, state_root: str) -> str:
    """Make the completion of the command of this name, for the sites below a directory."""
    parser = make_parser()
    verbs = _verbs(parser)
    return COMPLETION.format(
        name=name,
        quoted=shlex.quote(name),
        function="_" + re.sub(r"\W", "_", name, flags=re.ASCII),
        root=shlex.quote(state_root),
        options=shlex.quote(_words(_options(parser))),
        names=" ".join(verbs),
        verbs="\n".join(f"            {verb}) {_tables(commands)} ;;" for verb, commands in verbs.items()),
        values="\n".join(f"        {case}" for case in _values(verbs)),
    )


def _tables(parser: argparse.ArgumentParser) -> str:
    options = _options(parser)
    valued = _words([option for option in options if option.nargs != 0])
    places = " ".join(str(place.metavar) for place in _places(parser))
    return f"options={shlex.quote(_words(options))} valued={shlex.quote(valued)} places=({places})"


def _words(options: list[argparse.Action]) -> str:
    return " ".join(word for option in options for word in option.option_strings)


def _values(verbs: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Give the cases of options whose values can be told: choices, and files, which bash completes by itself."""
    for verb, parser in verbs.items():
        for option in _options(parser):
            if option.choices:
                yield f"{verb}{option.option_strings[0]}) found=({' '.join(option.choices)}) ;;"
            elif option.metavar == "FILE":
                yield f"{verb}{option.option_strings[0]}) compopt -o default 2>/dev/null ;;"


def man_page(name: str, state_root: str, hooks: Optional[str] = None) -> str:
    """Make the manual page, section 1, of the command of this name."""
    parser = make_parser()
    verbs = _verbs(parser)
    return MANUAL.format(
        title=_roff(name.upper()),
        name=_roff(name),
        version=VERSION,
        root=_roff(state_root),
        synopses="\n.br\n".join(_synopsis(name, verb, its) for verb, its in verbs.items()),
        commands="\n".join(_command(parser, verb, its) for verb, its in verbs.items()),
        options="\n".join(_entry(option) for option in _options(parser)),
        statuses="\n".join(f".TP\n.B {status}\n{_roff(text)}" for status, text in STATUSES.items()),
        hooks=HOOKS.format(hooks=_roff(hooks)) if hooks else "",
    )


def _synopsis(name: str, verb: str, parser: argparse.ArgumentParser) -> str:
    words = [rf"\fB{_roff(name)} {_roff(verb)}\fR"]
    for place in _places(parser):
        words.append(rf"[\fI{place.metavar}\fR]" if place.nargs == "?" else rf"\fI{place.metavar}\fR")
    for option in _own_options(parser):
        words.append(_option(option) if option.required else f"[{_option(option)}]")
    return " ".join(words)


def _command(parser: argparse.ArgumentParser, verb: str, its: argparse.ArgumentParser) -> str:
    lines = [f".SS {_roff(verb)}", _sentence(_help_of(parser, verb))]
    lines += [f".TP\n.I {place.metavar}\n{_sentence(place.help)}" for place in _places(its) if place.help]
    lines += [_entry(option) for option in _own_options(its)]
    return "\n".join(lines)


def _entry(option: argparse.Action) -> str:
    text = _sentence(option.help)
    if option.choices:
        text += f" One of: {', '.join(option.choices)}. Default: {option.default}."
    return f".TP\n{_option(option)}\n{text}"


def _option(option: argparse.Action) -> str:
    value = "" if option.nargs == 0 else rf" \fI{option.metavar or option.dest.upper()}\fR"
    return ", ".join(rf"\fB{_roff(word)}\fR" for word in option.option_strings) + value


def _sentence(text: Optional[str]) -> str:
    """Make a sentence of a help text, on a line that roff does not take for a request."""
    words = (text or "").rstrip(".")
    return _roff(words[:1].upper() + words[1:]) + "."


def _roff(text: str) -> str:
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq"))


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return dict(_commands(parser).choices)


def _commands(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def _help_of(parser: argparse.ArgumentParser, verb: str) -> Optional[str]:
    return next(action.help for action in _commands(parser)._choices_actions if action.dest == verb)


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings]


def _own_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Give the options without --help, which every command has."""
    return [option for option in _options(parser) if option.dest != "help"]


def _places(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]
