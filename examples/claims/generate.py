"""Makes exports of claims, plans and employees as they come, from a seed, and counts what must be found in them.

    generate.py DIRECTORY [--companies N]

The count is plain Python over what the generator knows: true dates and cents, not what it wrote.
"""

import argparse
import csv
import datetime
import gzip
import io
import json
import pathlib
import random

DAY = datetime.timedelta(days=1)
LAST = datetime.date(2024, 6, 30)
DATE_FORMS = ["%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y", "%Y%m%d"]
PLAN_TYPES = ["medical", "dental", "vision"]


def money(cents, form):
    text = f"{cents // 100:,}.{cents % 100:02d}"
    return [f"${text}", f"{text.replace(',', '')} USD", text.replace(",", "")][form]


class Export:
    """A table as an export writes it; knows on which line each row begins."""

    def __init__(self, path, header, delimiter=",", bom=False, newline="\r\n"):
        self.path, self.bom, self.newline, self.delimiter = path, bom, newline, delimiter
        self.text, self.line = "", 1
        self.add(header)

    def add(self, cells):
        """Returns the line on which the row begins."""
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self.delimiter, lineterminator=self.newline).writerow(cells)
        return self.raw(buffer.getvalue())

    def raw(self, text):
        began = self.line
        self.text += text
        self.line += text.count("\n")
        return began

    def write(self):
        body = (b"\xef\xbb\xbf" if self.bom else b"") + self.text.encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix == ".gz":
            body = gzip.compress(body, mtime=0)
        self.path.write_bytes(body)


class Data:
    def __init__(self, directory, companies):
        self.dir, self.random = directory, random.Random(11)
        self.errors = []         # stream, file, line, column, rule
        self.rows = {"claims": 0, "claims_feed": 0, "plans": 0, "employees": 0}
        self.repeats = 0
        numbers = range(1, companies + 1)
        self.companies = [
            {"ein": f"{10 + number % 80}-{1_000_000 + number * 7}", "domain": f"company{number}.example", "name": f"Company {number}"}
            for number in numbers
        ]
        self.claims = []         # ein, day, cents
        self.plans = []          # ein, type, first, last
        self.staff = []          # domain, or None; ein, or None

    def inbox(self, *parts):
        return self.dir.joinpath("inbox", *parts)

    def refuse(self, stream, path, line, column, rule):
        self.errors.append([stream, path.name, line, column, rule])

    def make(self):
        self.write_employees()
        self.write_claims()
        self.write_plans()
        return self.expected()

    # Employees: some have no EIN, some addresses belong to companies that nobody knows.

    def write_employees(self):
        headers = [["Employee ID", " Full Name", " Email ", "EIN"], ["employee_id", "FULL_NAME", "email", "ein "]]
        number = 0
        for part, header in enumerate(headers, 1):
            path = self.inbox("employees", f"employees_{part}.csv")
            export = Export(path, header, bom=part == 1, newline="\r\n" if part == 1 else "\n")
            for at, company in enumerate(self.companies):
                for _ in range(company.setdefault("staff", self.random.randint(2, 30)) // 2):
                    number += 1
                    self.add_employee(export, number, company, at)
            for _ in range(10):
                number += 1
                domain = f"nobody{number % 3}.example"
                export.add([number, f"Person {number}", f"p{number}@{domain}", ""])
                self.staff.append((domain, None))
                self.rows["employees"] += 1
            number += 1
            line = export.add([number, "No Address", "none", ""])
            self.refuse("employees", path, line, "/email", "schema_pattern")
            export.write()

    def add_employee(self, export, number, company, at):
        name = f"Person {number}" if number % 11 else f"Person {number}\r\nof \"two\" lines"
        ein = "" if number % 7 == 0 else company["ein"]
        cells = [number, name, f" P{number}@{company['domain'].upper()} " if number % 3 == 0 else f"p{number}@{company['domain']}", ein]
        export.add(cells)
        self.staff.append((company["domain"], ein or None))
        self.rows["employees"] += 1
        if number % 23 == 0:
            export.add(cells)
            self.repeats += 1

    # Claims: three tables of different exporters, and a feed of lines.

    def write_claims(self):
        for at, company in enumerate(self.companies):
            # What a company claims in a day; some rise steeply, and one has begun only now.
            before, after = self.random.randint(20_000, 90_000), self.random.randint(20_000, 90_000)
            if at % 8 == 3:
                after = before * self.random.randint(4, 6)
            if at == 5:
                before = 0
            for days in range(0, 200, self.random.randint(3, 9)):
                day = LAST - days * DAY
                cents = after if days < 90 else before
                if cents:
                    self.claims.append((company["ein"], day, cents + self.random.randint(0, 999)))
            # On both sides of the border between the windows.
            self.claims.append((company["ein"], LAST - 89 * DAY, 500))
            self.claims.append((company["ein"], LAST - 90 * DAY, 500) if at != 5 else (company["ein"], LAST - 190 * DAY, 500))
        self.random.shuffle(self.claims)
        quarter = len(self.claims) // 4
        headers = [
            ["Claim_ID", "Company EIN", "Service Date", "Amount", "Notes"],
            ["claim id", "company_ein", "SERVICE_DATE", "amount", "notes"],
            ["amount", "notes", "claim_id", "company ein", "service-date"],
        ]
        for part, header in enumerate(headers):
            path = self.inbox("claims", f"claims_{part + 1}.csv")
            export = Export(path, header, bom=part == 0, newline="\n" if part == 1 else "\r\n")
            of_part = list(enumerate(self.claims))[part * quarter : (part + 1) * quarter]
            self.write_table(export, path, of_part, part)
            export.write()
        self.write_feed(list(enumerate(self.claims))[3 * quarter :])

    def write_table(self, export, path, claims, part):
        def cells(number, ein, day, amount, notes):
            own = [f"C{number:05d}", ein, day, amount, notes]
            return own if part < 2 else [own[3], own[4], own[0], own[1], own[2]]

        for number, (ein, day, cents) in claims:
            notes = "two\r\nlines" if number % 13 == 0 else "NULL" if number % 17 == 0 else f'said "{number}", twice'
            row = cells(number, ein, day.strftime(DATE_FORMS[number % 4]), money(cents, number % 3), notes)
            export.add(row)
            self.rows["claims"] += 1
            if number % 29 == 0:
                export.add(row)
                self.repeats += 1
            if number % 41 == 0:
                line = export.add(cells(number, ein, "2024-01-01", "1.00", "another amount"))
                self.refuse("claims", path, line, "/claim_id", "id_conflict")
        bad = [
            (cells(90_000 + part, "10-1000007", "not-a-date", "1.00", ""), "/service_date", "column_rule"),
            (cells(90_010 + part, "10-1000007", "02/30/2024", "1.00", ""), "/service_date", "column_rule"),
            (cells(90_020 + part, "10-1000007", "2024-01-31", "a lot", ""), "/amount", "column_rule"),
            (cells(90_030 + part, "10-1000007", "2024-01-31", "1.00", "") + ["more"], "", "csv"),
            (cells(90_040 + part, "EIN", "2024-01-31", "1.00", ""), "/company_ein", "schema_pattern"),
        ]
        for row, column, rule in bad:
            self.refuse("claims", path, export.add(row), column, rule)

    def write_feed(self, claims):
        path = self.inbox("feed", "claims.ndjson")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (ein, day, cents) in claims:
            claim = {"claim_id": f"C{number:05d}", "company_ein": ein, "service_date": day.strftime(DATE_FORMS[number % 4])}
            lines.append(json.dumps({**claim, "amount": cents / 100 if number % 2 else money(cents, number % 3)}))
            self.rows["claims_feed"] += 1
        lines.insert(3, '{"claim_id": "C80000", "company_ein": "10-1000007", ')
        self.refuse("claims_feed", path, 4, "", "json")
        path.write_text("\n".join(lines))

    # Plans: intervals that overlap, touch, or leave gaps.

    def write_plans(self):
        path = self.inbox("plans", "plans.tsv.gz")
        export = Export(path, ["Plan ID", "company_ein", "Plan Type", "Start", "End"], delimiter="\t", newline="\n")
        number = 0
        for at, company in enumerate(self.companies):
            for kind in PLAN_TYPES:
                first = datetime.date(2021, 1, 1) + self.random.randint(0, 200) * DAY
                for _ in range(self.random.randint(1, 5)):
                    last = first + self.random.randint(60, 400) * DAY
                    number += 1
                    form = DATE_FORMS[number % 4]
                    shown = kind.upper() if number % 5 == 0 else f" {kind}"
                    export.add([f"P{number}", company["ein"], shown, first.strftime(form), last.strftime(form)])
                    self.plans.append((company["ein"], kind, first, last))
                    self.rows["plans"] += 1
                    # An overlap, no gap, gaps of 7 and of 8 days, or more.
                    first = last + self.random.choice([-30, 1, 8, 9, 40]) * DAY
        line = export.add(["P0", "10-1000007", "medical", "soon", "later"])
        self.refuse("plans", path, line, "/start", "column_rule")
        export.write()

    # The count.

    def expected(self):
        ein_of = {company["domain"]: company["ein"] for company in self.companies}
        for at, company in enumerate(self.companies):
            # What the register says: often right, sometimes a little or far off.
            actual = sum((ein or ein_of.get(domain)) == company["ein"] for domain, ein in self.staff)
            company["employees"] = max(1, [actual, actual, actual + 2, actual * 2, actual // 3][at % 5])
            company["counted"] = actual
        known = [company for at, company in enumerate(self.companies) if at % 13 != 12]
        (self.dir / "companies.json").write_text(
            json.dumps({own["domain"]: {name: own[name] for name in ("ein", "name", "employees")} for own in known})
        )
        known_eins = {own["domain"]: own["ein"] for own in known}
        counted = {}
        for domain, ein in self.staff:
            ein = ein or known_eins.get(domain)
            counted[ein] = counted.get(ein, 0) + 1
        expected = {
            "rows": self.rows,
            "repeats": self.repeats,
            "errors": sorted(self.errors),
            "domains": len({domain for domain, _ in self.staff}),
            "unknown_domains": sorted({domain for domain, _ in self.staff} - set(known_eins)),
            "employees_without_company": counted.pop(None, 0),
            "plan_gaps": self.gaps(),
            "claim_spikes": self.spikes(),
            "roster_mismatch": mismatches(known, counted),
        }
        (self.dir / "expected.json").write_text(json.dumps(expected, indent=1))
        return expected

    def gaps(self):
        found = []
        for ein, kind in sorted({(ein, kind) for ein, kind, _, _ in self.plans}):
            covered = None
            for first, last in sorted((first, last) for own, other, first, last in self.plans if (own, other) == (ein, kind)):
                if covered is not None and (first - covered).days - 1 > 7:
                    days = (first - covered).days - 1
                    found.append([ein, kind, str(covered + DAY), str(first - DAY), days])
                covered = last if covered is None else max(covered, last)
        return found

    def spikes(self):
        last = max(day for _, day, _ in self.claims)
        found = []
        for ein in sorted({ein for ein, _, _ in self.claims}):
            in_window = lambda since, until: sum(
                cents for own, day, cents in self.claims if own == ein and since < day <= until
            )
            current, previous = in_window(last - 90 * DAY, last), in_window(last - 180 * DAY, last - 90 * DAY)
            if previous and current > 3 * previous:
                found.append([ein, current, previous])
        return found


def mismatches(companies, counted):
    found = []
    for company in companies:
        count, expected = counted.get(company["ein"], 0), company["employees"]
        if count != expected:
            share = abs(count - expected) / expected
            severity = "high" if share > 0.5 else "medium" if share > 0.2 else "low"
            found.append([company["ein"], company["name"], expected, count, severity])
    return sorted(found)


def generate(directory, companies):
    return Data(pathlib.Path(directory), companies).make()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--companies", type=int, default=200)
    asked = parser.parse_args()
    generate(asked.directory, asked.companies)
