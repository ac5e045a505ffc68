"""The dashboard: what the API at $CAMPAIGN_API says.

    streamlit run dashboard.py
"""

import json
import os
import urllib.request

import streamlit


def ask(path):
    with urllib.request.urlopen(os.environ["CAMPAIGN_API"] + path, timeout=10) as answer:
        return json.load(answer)


brands, platforms, quality = ask("/brands"), ask("/platforms"), ask("/quality")
streamlit.set_page_config(page_title="Campaign", layout="wide")
streamlit.title("Campaign")
columns = streamlit.columns(4)
columns[0].metric("tasks", f"{sum(own['tasks'] for own in brands):,}")
columns[1].metric("reach", f"{sum(own['reach'] for own in brands):,}")
columns[2].metric("sales", f"{sum(float(own['sales']) for own in brands):,.2f}")
refused = sum(own["number"] for own in quality if own["what"] in ("not_json", "other_structure"))
columns[3].metric("files refused", f"{refused:,}")
left, right = streamlit.columns(2)
left.subheader("Sales by brand")
left.bar_chart({own["brand"]: float(own["sales"]) for own in brands})
right.subheader("Engagement by platform")
right.bar_chart({own["platform"]: own["engagement"] for own in platforms})
left.subheader("Advocates with most sales")
left.dataframe(ask("/advocates"), hide_index=True)
right.subheader("What was wrong")
right.dataframe(quality, hide_index=True)
