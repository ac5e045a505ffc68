"""Makes the views over the lake and dbt's models in $SHOP_DB, and tests them.

    models.py

$LAKEHOOK and $LAKEHOOK_CONFIG name the program and its configuration. Exit code 1 if a model or a test fails.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import marts

if __name__ == "__main__":
    marts.build(HERE / "dbt", "SHOP_DB")
