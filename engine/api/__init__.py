"""The endpoint for other chat apps, ``nightschool api``: the slots, spoken to as OpenAI's chat completions are.

``web`` speaks HTTP and knows no engine; ``asking`` reads what is asked, ``shapes`` is how answers look, ``refusal`` how
a refusal does; ``service`` asks the engine, in the order of ``turnstile``; ``recent`` remembers completions for a
while, so that ``feedback`` can teach. ``run`` puts them together. Addresses, keys, bodies and log are those of
``wire/server``.
"""
