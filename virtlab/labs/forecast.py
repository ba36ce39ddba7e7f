"""The forecast lab: CPUs reserved for a demand that is only predicted, held against the last value and the oracle."""

from __future__ import annotations

from virtlab.cpu import Forecast, forecast
from virtlab.cpu.forecast import ForecastOptions
from virtlab.figures.forecast import ForecastPicture
from virtlab.labs.base import Lab


class ForecastLab(Lab):
    """Does looking ahead pay? The answer is on days that no predictor has seen, with its spread."""

    Setting = ForecastOptions
    Picture = ForecastPicture
    visible = ("demand", "predictor", "lead_hours", "under_cost")

    def solve(self, setting: ForecastOptions) -> Forecast:
        return forecast(setting)

    def sentence(self, setting: ForecastOptions, result: Forecast) -> str:
        return result.sentence()
