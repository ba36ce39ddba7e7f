"""The palette: places that anyone can tell apart, in both themes, in colour and in grey."""
import itertools

import pytest

from tests.figures.colour import DEFICIENCIES, ciede2000, contrast, lab
from virtlab.core.words import words
from virtlab.figures.style import HATCH, LOOKS, place_style
from virtlab.paths import Place

PLACES = [str(place) for place in Place]
themes = pytest.mark.parametrize("theme", LOOKS)

# Sharma, Wu, Dalal: "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
# and mathematical observations" (2005), table 1: L, a, b of both colours, and their difference.
SHARMA = [
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
    (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
]


@pytest.mark.parametrize("pair", SHARMA)
def test_the_measure_of_difference_is_the_published_one(pair):
    assert ciede2000(pair[:3], pair[3:6]) == pytest.approx(pair[6], abs=5e-5)


@themes
@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_any_two_places_look_different(theme, vision):
    colours = LOOKS[theme].place
    for one, other in itertools.combinations(PLACES, 2):
        difference = ciede2000(lab(colours[one], vision), lab(colours[other], vision))
        assert difference >= 10, f"{one} and {other} differ by {difference:.1f} only"


@themes
def test_every_place_has_its_colour_its_hatch_and_its_word(theme):
    assert set(LOOKS[theme].place) == set(HATCH) == set(PLACES)
    for place in PLACES:
        assert words(f"place.{place}"), place


def test_no_two_places_share_a_hatch():
    assert len(set(HATCH.values())) == len(HATCH), "in grey, the hatch alone tells places apart"


@themes
@pytest.mark.parametrize("place", PLACES)
def test_a_hatch_can_be_seen_on_its_colour(theme, place):
    style = place_style(LOOKS[theme], place)
    assert contrast(style["facecolor"], style["edgecolor"]) >= 1.5


@themes
@pytest.mark.parametrize("place", PLACES)
def test_a_place_stands_out_from_the_paper(theme, place):
    look, style = LOOKS[theme], place_style(LOOKS[theme], place)
    seen = max(contrast(style[part], look.paper) for part in ("facecolor", "edgecolor"))
    assert seen >= 3, f"neither the fill nor the edge of {place} is seen on the paper"


@themes
def test_text_is_easy_to_read(theme):
    look = LOOKS[theme]
    assert contrast(look.ink, look.paper) >= 7
    assert contrast(look.faint, look.paper) >= 4.5, "quiet text is text too"


