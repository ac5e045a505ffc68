"""Runs the dashboard once without a browser, and prints the numbers that it shows, as JSON."""

import json
import pathlib

from streamlit.testing.v1 import AppTest

page = AppTest.from_file(str(pathlib.Path(__file__).with_name("dashboard.py")), default_timeout=120).run()
assert not page.exception, page.exception
print(json.dumps({metric.label: metric.value for metric in page.metric}))
