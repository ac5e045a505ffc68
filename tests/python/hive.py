"""What Hive's own parser makes of statements.

    hive.py keywords        all keywords of Hive, one a line
    hive.py columns FILE    parses the statements of a file, and prints the columns of each table, with the
                            fields of structs; views are left out, which are Presto's language

Needs the environment of tests/python/spark.txt, and Java.
"""

import json
import pathlib
import re
import sys

import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway


def start():
    """A JVM that has Hive."""
    jars = pathlib.Path(pyspark.__file__).parent / "jars" / "*"
    port = launch_gateway(classpath=str(jars), die_on_exit=True)
    return JavaGateway(gateway_parameters=GatewayParameters(port=port)).jvm


def keywords(jvm):
    """The keywords of the lexer."""
    lexer = jvm.java.lang.Class.forName("org.apache.hadoop.hive.ql.parse.HiveLexer")
    names = [field.getName() for field in lexer.getFields()]
    return sorted(name.removeprefix("KW_").lower() for name in names if name.startswith("KW_"))


def statements(text):
    """The statements of a file, without comments and views."""
    text = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    parts = [part.strip() for part in text.split(";\n")]
    return [part.rstrip(";") for part in parts if part and "CREATE OR REPLACE VIEW" not in part]


def find(tree, kind):
    """The first node of a kind below a node."""
    for child in tree.getChildren() or []:
        if child.getText() == kind:
            return child
        if found := find(child, kind):
            return found
    return None


def shape(info):
    """A type as plain data: the fields of structs, the elements of lists, or the name of the type."""
    category = info.getCategory().toString()
    if category == "STRUCT":
        names, infos = info.getAllStructFieldNames(), info.getAllStructFieldTypeInfos()
        return {name: shape(field) for name, field in zip(names, infos)}
    if category == "LIST":
        return [shape(info.getListElementTypeInfo())]
    return info.getTypeName()


def type_of(tree):
    """A type as Hive keeps it: without quotes."""
    kind = tree.getText()
    if kind == "TOK_STRUCT":
        fields = [f"{name}:{type_of(own)}" for name, own in named(tree.getChild(0))]
        return f"struct<{','.join(fields)}>"
    if kind == "TOK_LIST":
        return f"array<{type_of(tree.getChild(0))}>"
    return kind.removeprefix("TOK_").lower()


def named(columns):
    """The names and types of columns or fields."""
    for column in columns.getChildren():
        yield column.getChild(0).getText().strip("`"), column.getChild(1)


def columns(jvm, text):
    """The columns of each table that statements make."""
    parser = jvm.org.apache.hadoop.hive.ql.parse.ParseDriver()
    types = jvm.org.apache.hadoop.hive.serde2.typeinfo.TypeInfoUtils
    tables = {}
    for statement in statements(text):
        tree = parser.parse(statement)
        made = find(tree, "TOK_CREATETABLE")
        if made is None:
            continue
        name = find(made, "TOK_TABNAME").getChild(0).getText().strip("`")
        found = named(find(made, "TOK_TABCOLLIST"))
        tables[name] = {own: shape(types.getTypeInfoFromTypeString(type_of(kind))) for own, kind in found}
    return tables


def main():
    jvm = start()
    if sys.argv[1] == "keywords":
        print("\n".join(keywords(jvm)))
    else:
        print(json.dumps(columns(jvm, pathlib.Path(sys.argv[2]).read_text())))


if __name__ == "__main__":
    main()
