"""The interrupt lab: one interrupt on its way to a vCPU, step by step, under each mode, or with a rule left out."""

from __future__ import annotations

from typing import Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.words import say, words
from virtlab.cpu.interrupt_story import Scene, interrupt_story
from virtlab.cpu.interrupts import How
from virtlab.evidence import FACTS
from virtlab.figures.posted import STEPS, PostedPicture, PostedResult
from virtlab.labs.playing import PlayedLab


class PostedSetting(Parameters):
    """How interrupts reach the guest, what this one finds, and how far that is played."""

    interrupts: How = parameter(FACTS["lab.interrupts"], default="apicv")
    interrupt_scene: Scene = parameter(FACTS["irq.scene"], default="guest")
    left_out: Literal["none", "recheck", "wake-up vector", "destination"] = parameter(
        FACTS["irq.left_out"], default="none"
    )
    step: int = parameter(FACTS["irq.scene.step"], ge=0, le=STEPS)


class PostedLab(PlayedLab):
    """One interrupt, or three, from the post to the guest's handler: what is written where, and what it costs."""

    Setting = PostedSetting
    Picture = PostedPicture
    most_steps = STEPS
    visible = ("interrupts", "interrupt_scene", "left_out", "step")

    def solve(self, setting: PostedSetting) -> PostedResult:
        without = () if setting.left_out == "none" else (setting.left_out,)
        return PostedResult(interrupt_story(setting.interrupts, setting.interrupt_scene, without), setting.step)

    def sentence(self, setting: PostedSetting, result: PostedResult) -> str:
        story, moment = result.story, result.moment
        rule = words("parameter.left_out.choices")[setting.left_out]
        key = "" if setting.left_out == "none" else "without" if story.posted else "no_rules"
        here = str(words("posted_lab.begin"))
        if moment is not None:
            here = say("posted_lab.here", step=result.position, of=len(story.moments), what=moment.what,
                       who=words("interrupt_story.who")[moment.who], why=result.why)  # fmt: skip
        return say("posted_lab.sentence", story=story.sentence(), here=here,
                   rule=say(f"posted_lab.{key}", rule=rule) if key else "").replace("  ", " ").strip()  # fmt: skip

    def length(self) -> int:
        return len(self.result.story.moments)
