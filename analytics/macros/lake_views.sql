{# The views over the lake, as `lakehook sql duckdb` prints them. #}
{% macro lake_views() %}
    {% if execute %}
        {% do return(run_query("select lakehook_views()").columns[0][0]) %}
    {% endif %}
{% endmacro %}

{# Views over the CSV files; empty ones where there is no file. #}
{% macro csv_views() %}
    {% if execute %}
        {% for name, columns in csv_columns().items() %}
            {% do run_query(csv_view(name, columns)) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# What the models read of each file. Other columns may be there, in any order. #}
{% macro csv_columns() %}
    {% do return({
        "users": ["user_id", "age"],
        "content": ["content_id", "prayer_type"],
        "sessions": ["session_id", "user_id", "content_id", "started_at", "duration_seconds"],
    }) %}
{% endmacro %}

{% macro csv_view(name, columns) %}
    {% set files = env_var("HALLOW_CSV", "csv") ~ "/" ~ name ~ "*.csv" %}
    {% set found = run_query("select count(*) from glob('" ~ files ~ "')").columns[0][0] %}
    create or replace view csv_{{ name }} as
    {% if found > 0 %}
    select {{ columns | join(", ") }}
    from read_csv('{{ files }}', header = true, all_varchar = true, union_by_name = true)
    {% else %}
    select
        {% for column in columns %} null::varchar as {{ column }}{{ "," if not loop.last }}{% endfor %}
    where false
    {% endif %}
{% endmacro %}
