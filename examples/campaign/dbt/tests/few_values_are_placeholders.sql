-- From one in a hundred on, somebody should look; from one in ten on, another test stops the run.
{{ config(severity = 'warn') }}
SELECT what, share_percent FROM {{ ref('quality') }} WHERE what NOT IN ('not_json', 'other_structure') AND share_percent > 1
