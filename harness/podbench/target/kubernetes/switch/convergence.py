"""Turns a cluster to a mode and waits until every node follows; rolled back if they do not.

That a node follows is seen in its kernel: the route from each node's pod to each other's, as the
CNI's driver proves it. What was seen before the change is what rolling back has to bring back.
"""

import asyncio
from collections.abc import Awaitable, Callable

from podbench.cni.edits import Recipe
from podbench.model.arms import Mode
from podbench.model.errors import ClusterError, ProbeError, TransportError
from podbench.model.facts import ArmProof, Verdict
from podbench.target.kubernetes.api.client import ApiError
from podbench.target.kubernetes.switch.change import Switch, Values

CONVERGE_S = 90.0
"""For all nodes together; what takes longer is rolled back.

A roll-out goes from node to node, so there it counts from the last node that it reached: of n nodes
it may take (n + 1) times as long, but never this long without getting further.
"""
LOOK_S = 1.0
STEADY = 2
"""Looks in a row that have to show it: Felix restarts, and routes come and go with it."""

Prove = Callable[[], Awaitable[ArmProof]]
"""Looks every pair's route up, for the mode that is turned to."""
Seen = dict[tuple[str, str], str | None]


class Turning:
    """The turns of one run."""

    def __init__(self, switch: Switch, say: Callable[[str], None]) -> None:
        self._switch = switch
        self._say = say
        self._found: tuple[Prove, Seen] | None = None
        """How the mode as found looked, and through whose eyes."""
        self._mode: Mode | None = None
        self._changed = False

    @property
    def recipe(self) -> Recipe:
        """How modes are had here."""
        return self._switch.recipe

    async def turn(self, mode: Mode, prove: Prove) -> str | None:
        """Makes a mode the one that packets take; null once it is, else why it is not.

        Raises:
            InterferenceError: Somebody else changes the mode.
            ClusterError: It did not converge, and neither did rolling back.
        """
        if mode == self._mode:
            return None
        before, values = await _looked(prove), self._switch.now()
        if self._found is None:
            self._found = prove, before
        try:
            if not self._switch.stands(mode):
                self._say(f"switching to {mode}: {self._switch.recipe.by}")
                self._mode, self._changed = None, True
                await self._switch.write(self._switch.values(mode))
        except ApiError as error:
            if error.status not in range(400, 500):
                raise
            reason = f"the server refuses the change: {error}"
        else:
            late = await self._until(prove, lambda proof: _matches(proof, before))
            if late is None:
                self._mode = mode
                return None
            reason = f"did not converge {late}"
        await self._roll_back(values, prove, before)
        return f"{reason}; rolled back"

    async def _roll_back(self, values: Values, prove: Prove, before: Seen) -> None:
        self._say(f"rolling back: {self._switch.recipe.by}")
        await self._switch.write(values)
        late = await self._until(prove, lambda proof: _looks_like(proof, before))
        if late is not None:
            raise ClusterError(
                f"rolling the mode back did not converge either {late}",
                advice="look at the CNI's pods; `bench restore` puts the objects back again",
            )

    async def back(self) -> None:
        """Puts the mode as found back while there are eyes to see it, and says if nodes lag.

        All is measured by then: what cannot be put back is told, and undoing tries it again.
        """
        if not self._changed or self._found is None:
            return
        prove, found = self._found
        self._say(f"switching back: {self._switch.recipe.by}")
        try:
            await self._switch.write(self._switch.first())
        except ClusterError as error:
            self._say(f"the mode could not be put back yet: {error}")
            return
        late = await self._until(prove, lambda proof: _looks_like(proof, found))
        if late is not None:
            self._say(f"the mode is put back, but not every node followed {late}")

    async def _until(self, prove: Prove, enough: Callable[[ArmProof], bool]) -> str | None:
        """Null once all nodes are as wanted; else for how long it was waited, and for what."""
        clock = asyncio.get_running_loop().time
        deadline, steady, reached = clock() + CONVERGE_S, 0, 0
        while True:
            late = await self._late(prove, enough)
            if self._switch.rolled_out > reached:
                reached, deadline = self._switch.rolled_out, clock() + CONVERGE_S
            steady = 0 if late is not None else steady + 1
            if steady == STEADY:
                return None
            if clock() + LOOK_S > deadline:
                since = f" after node {reached} of its roll-out" if reached else ""
                return f"in {CONVERGE_S:g} s{since}: {late or 'the routes did not stay'}"
            await asyncio.sleep(LOOK_S)

    async def _late(self, prove: Prove, enough: Callable[[ArmProof], bool]) -> str | None:
        late = await self._switch.followed()
        if late is not None:
            return late
        try:
            proof = await prove()
        except (ProbeError, TransportError) as error:
            return str(error)
        if enough(proof):
            return None
        matched = f"{proof.pairs_matched} of {proof.pairs_total} directed pairs"
        return f"{matched} take {proof.mode}, seen is {proof.observed or 'no route'}"


async def _looked(prove: Prove) -> Seen:
    """What each pair takes now; empty where nobody could look."""
    try:
        return _seen(await prove())
    except (ProbeError, TransportError):
        return {}


def _seen(proof: ArmProof) -> Seen:
    """By pair; those whose node could not be asked are not in it."""
    return {
        (each.src, each.dst): each.observed
        for each in proof.pairs
        if each.verdict is not Verdict.UNPROVEN
    }


def _matches(proof: ArmProof, before: Seen) -> bool:
    """Whether every pair that can be looked at, or could be before, takes the mode."""
    matched = {(p.src, p.dst) for p in proof.pairs if p.verdict is Verdict.MATCH}
    return bool(matched) and matched >= (_seen(proof).keys() | before.keys())


def _looks_like(proof: ArmProof, before: Seen) -> bool:
    """Whether every pair that can be looked at takes again what it took; blind, nobody knows."""
    now = _seen(proof)
    if before and not now:
        return False
    return all(now.get(pair, observed) == observed for pair, observed in before.items())
