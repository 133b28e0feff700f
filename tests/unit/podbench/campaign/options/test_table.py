"""The table of options: each entry is whole, and what follows from it follows for every entry."""

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.core
import typer.main
import yaml
from typer.testing import CliRunner

from podbench.campaign.options import config, validate
from podbench.campaign.options.declaration import Option
from podbench.campaign.options.table import OPTIONS, Options
from podbench.cli import main
from podbench.model.errors import ConfigError

EACH = pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
EXAMPLES = {bool: True, int: 7, str: "x", list: ["x", "y"], dict: {"k": "v"}}
UNITS = {"budget": "3m", "lab_rate": "1Gbit/s", "max_bandwidth": "1Gbit/s"}


def _example(option: Option) -> object:
    """A value that is not the default."""
    if option.choices:
        return [option.choices[0]] if option.kind is list else option.choices[-1]
    return UNITS.get(option.name, EXAMPLES[option.kind])


def _commands() -> dict[str, list[Any]]:
    """The parameters of every command, by its name."""
    root = typer.main.get_command(main.app)
    assert isinstance(root, typer.core.TyperGroup)
    found: dict[str, list[Any]] = {}
    for name, command in root.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            found |= {f"{name} {inner}": each.params for inner, each in command.commands.items()}
        else:
            found[name] = command.params
    return found


COMMANDS = _commands()


@EACH
def test_an_entry_is_whole(option: Option) -> None:
    """A help text without a full stop, commands that exist, a target that exists."""
    assert option.help
    assert not option.help.endswith(".")
    assert option.commands
    assert set(option.commands) <= COMMANDS.keys()
    assert option.target in {None, "lab", "kubernetes"}
    assert option.needs is None or option.needs[0] in OPTIONS


@EACH
def test_an_entry_gives_a_flag_to_each_of_its_commands_and_no_other(option: Option) -> None:
    """With its help, in the panel of its group."""
    for name, parameters in COMMANDS.items():
        flags = {flag: each for each in parameters for flag in each.opts}
        if name in option.commands:
            assert flags[option.flag].rich_help_panel == option.group
            assert option.help in flags[option.flag].help


@EACH
def test_an_entry_of_a_run_is_a_key_of_the_file_and_a_flag_alike(
    option: Option, tmp_path: Path
) -> None:
    """YAML, `--print-config`'s YAML and the command line that repeats a run ask for the same."""
    if "run" not in option.commands:
        pytest.skip("not an option of bench run")
    value = _example(option)
    asked = msgspec.structs.replace(Options(), **{option.name: value})
    for text in (yaml.safe_dump({option.name: value}), config.show(asked)):
        file = tmp_path / "bench.yaml"
        file.write_text(text, encoding="utf-8")
        assert config.read(file) == asked
    line = shlex.split(config.command_line(msgspec.to_builtins(asked)))
    assert (option.flag in line) is option.measured
    if option.measured and option.kind is not bool:
        given = line[line.index(option.flag) + 1 :]
        many = option.repeated or option.kind is dict
        assert validate.from_flag(option, given[:1] if many else given[0])


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """A flag that was not given leaves the file's value; false in a file can be made true."""
    file = tmp_path / "bench.yaml"
    file.write_text("target: lab\ncni: calico\nmodes: [vxlan, bgp]\nnodes: 4\nyes: true\n")
    shown = CliRunner().invoke(
        main.app, ["run", "--config", str(file), "--nodes", "2", "--spin", "--print-config"]
    )
    read = msgspec.convert(yaml.safe_load(shown.stdout), Options)
    assert (read.nodes, read.modes, read.spin, read.yes) == (2, ["vxlan", "bgp"], True, True)


def test_a_command_line_asks_for_the_same() -> None:
    """What `bench run` makes of it are the same options; where the run goes is left out."""
    asked = Options(
        cni="calico",
        target="lab",
        modes=["vxlan", "bgp"],
        probes=["latency", "throughput"],
        method="pools",
        nodes=3,
        blocks=3,
        seed=7,
        name="it's $HOME; `x`",
        label={"team": "a b"},
        lab_loss=["n1>n2=1%", "n2>n1=2%"],
        equal_mtu=True,
    )
    given = {**msgspec.to_builtins(asked), "out": "somewhere", "yes": True}
    words = shlex.split(config.command_line(given))
    shown = CliRunner().invoke(main.app, [*words[1:], "--print-config"])

    assert words[:2] == ["bench", "run"]
    assert msgspec.convert(yaml.safe_load(shown.stdout), Options) == asked


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (Options(cni="calcio"), "--cni: unknown 'calcio'; did you mean 'calico'"),
        (Options(modes=[]), "--modes: no value given"),
        (Options(probes=[]), "--probes: no value given"),
        (Options(probes=["latenzy"]), "--probes: unknown 'latenzy'; did you mean 'latency'"),
        (Options(nodes=1), "--nodes: 1 is fewer than 2"),
        (Options(blocks=0), "--blocks: 0 is fewer than 1"),
        (Options(budget="0s"), "--budget: .* above zero, not '0s'"),
        (Options(budget="soon"), "--budget: 'soon' is not a number with a unit"),
        (Options(proof="trust"), "--proof: unknown 'trust'"),
        (Options(method="swap"), "--method: unknown 'swap'"),
        (Options(lab_cpu_noise=-1), "--lab-cpu-noise: -1 is fewer than 0"),
        (Options(lab_rate="fast"), "--lab-rate"),
        (Options(max_bandwidth="0Mbit/s"), "--max-bandwidth: the rate must be above zero"),
        (Options(disrupt="prod"), "--disrupt applies to --method switch only"),
    ],
)
def test_values_are_checked_against_the_entry(asked: Options, match: str) -> None:
    """Each refusal names the option and what is wrong with it."""
    with pytest.raises(ConfigError, match=match):
        validate.values(asked)


def test_what_needs_another_option_is_not_checked_where_that_one_is_not_taken() -> None:
    """`bench resume --disrupt`: the method is the run's own."""
    validate.values(Options(disrupt="prod"), "resume")
    validate.values(Options(disrupt="prod", method="switch"))


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("modes", "vxlan, bgp,", ["vxlan", "bgp"]),
        ("lab_loss", ["n1>n2=1%"], ["n1>n2=1%"]),
        ("label", ["env=lab", "a=b=c"], {"env": "lab", "a": "b=c"}),
        ("nodes", "3", 3),
        ("name", "3", "3"),
    ],
)
def test_flags_become_values(name: str, given: str | list[str], value: object) -> None:
    """Lists by commas or by repeated flags, labels by k=v, numbers as numbers."""
    assert validate.from_flag(OPTIONS[name], given) == value


@pytest.mark.parametrize(
    ("name", "given", "match"),
    [("label", ["env"], "k=v"), ("label", ["=x"], "k=v"), ("nodes", "three", "whole number")],
)
def test_flags_of_the_wrong_form_are_refused(name: str, given: str | list[str], match: str) -> None:
    """With the option's name."""
    with pytest.raises(ConfigError, match=f"--{name}: .*{match}"):
        validate.from_flag(OPTIONS[name], given)


def test_quantities_carry_their_units() -> None:
    """Text becomes seconds and bits per second, null stays null."""
    asked = Options(budget="3m", lab_rate="1Gbit/s")
    assert (asked.seconds("budget"), asked.bps("lab_rate")) == (180.0, 1_000_000_000)
    assert (asked.bps("max_bandwidth"), Options().seconds("budget")) == (None, None)
