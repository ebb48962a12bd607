"""The states of a machine that makes parts."""

from __future__ import annotations

import random

from simulators.profiles.profile import Profile, as_json

_NEXT: dict[str, tuple[tuple[str, float], ...]] = {
    "idle": (("idle", 0.80), ("setup", 0.20)),
    "setup": (("setup", 0.70), ("running", 0.30)),
    "running": (("running", 0.96), ("idle", 0.03), ("fault", 0.01)),
    "fault": (("fault", 0.85), ("idle", 0.15)),
}
_ALARMS = ("E041 spindle overload", "E117 guard open", "E203 coolant low", "E310 tool broken")


class Machine(Profile):
    """A small Markov chain: idle, setup, running, fault; parts are counted while it runs."""

    name = "machine"
    what = "state"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.state = chance.choice(tuple(_NEXT))
        self.good = 0
        self.scrap = 0
        self.alarm: str | None = None
        self.order = f"WO-{chance.randint(10000, 99999)}"

    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """About 150 bytes of JSON; `alarm` is null when there is none."""
        states, weights = zip(*_NEXT[self.state], strict=True)
        before, self.state = self.state, self.chance.choices(states, weights)[0]
        if self.state == "running":
            if self.chance.random() < 0.98:
                self.good += 1
            else:
                self.scrap += 1
        if self.state != "fault":
            self.alarm = None
        elif before != "fault" or self.alarm is None:
            self.alarm = self.chance.choice(_ALARMS)
        return as_json(
            device,
            n,
            now_us,
            {
                "state": self.state,
                "order": self.order,
                "good": self.good,
                "scrap": self.scrap,
                "alarm": self.alarm,
            },
        )
