"""The map of the course as a picture: what stands here, what is to come, and what builds on what."""

from __future__ import annotations

import textwrap

from virtlab.core.words import say
from virtlab.figures.canvas import Still
from virtlab.figures.course import Box, CoursePicture, CourseResult
from virtlab.lessons import course_graph


def course_picture() -> Still:
    """Draws the dependency graph of the notebooks, with the sentence that says the same."""
    graph = course_graph()
    boxes = []
    for n in graph.notebooks:
        title = textwrap.fill(n.title.replace(" %", "\u00a0%"), 21, max_lines=3, placeholder=" …")
        boxes.append(Box(n.number, title, n.track == "core", n.here))
    picture = CoursePicture()
    picture.show(CourseResult(tuple(boxes), graph.level, graph.edges))
    here = [n.number for n in graph.notebooks if n.here]
    return Still(picture.png(), say("course.sentence", here=len(here), all=len(boxes), names=", ".join(here)))
