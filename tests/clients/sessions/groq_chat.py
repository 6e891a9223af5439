"""Chat completions with Groq's Python client."""

import os

import groq
import shell

# Groq's client adds `/openai/v1` to its base URL.
base = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
client = groq.Groq(api_key=os.environ["OPENAI_API_KEY"], base_url=base, max_retries=0)


def ask(talk):
    return client.chat.completions.create(model="m", messages=talk, tools=[shell.FUNCTION]).choices[0].message


print(shell.chat(ask))
