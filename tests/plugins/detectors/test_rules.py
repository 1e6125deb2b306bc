import pytest

from nightschool.plugins.detectors.rules import Rules
from nightschool.schemas.records import Scope, SignalKind

PROMPT = "What is inflation?"
REPLY = "Certainly! Inflation is a rise in prices. It has several causes."

DURABLE = """
From now on, end every answer with 'Over and out.'
From now on call me Captain.
from now on keep it under two sentences
No, from now on answer in one sentence.
Please always write in lowercase.
Please never use emojis.
Always answer in exactly one sentence.
Never start your replies with 'Certainly!'.
Stop saying 'Certainly!'.
Stop using bullet points.
Please stop apologizing in every reply.
Don't use exclamation marks anymore.
Do not use bullet points in your answers ever again.
In future, use metric units.
In the future, please sign your replies with 'Bob'.
Next time, begin with a concrete example.
Remember to end every reply with a question.
Please sign your replies with '- Max'.
Finish your answers with 'Over.'
I always want bullet points.
Remember that you should call me Captain.
When you explain a concept, always begin with a concrete example, starting with the words "For example,".
Whenever you answer, end with the line '-- the night owl'.
If I ask for a recipe, answer with a numbered list.
Going forward, no markdown please.
Call me Captain.
Please address me as Doctor Lee.
Every reply should start with 'Ahoy!'.
Your answers must always be in capital letters.
I want you to always use the word 'folks' instead of 'people'.
I'd like you to write all your replies in lowercase.
No more emojis, please.
No. Stop using emojis.
Thanks! From now on, say 'colour' instead of 'color'.
Could you always answer in one sentence, please?
You should never use the word 'delve'.
Each answer must end with 'Stay curious!'.
Can you please stop using exclamation marks?
Ok. From now on please reply in all lowercase letters.
I prefer short answers from now on.
You should always reply with bullet points.
Please end your messages with 'Peace!' from now on.
I'd prefer if you kept your answers under 30 words from now on.
Keep all your answers to two sentences.
Hey, use only lowercase letters from now on.
Never call me buddy again.
Stop ending your answers with a question.
Stop with the emojis.
Please don't use lists anymore.
Begin each answer with the word 'Listen,'.
Answers should be at most two sentences, always.
No. Start with "Okay, " every time.
Each time, close with the line "-- The Lab".
Kindly close all messages with Yours truly, Robo.
Please sign all your messages "Yours, Ada".
Don't write more than 50 words ever again.
Don't begin replies with "As an AI language model".
Please bold the key term in every answer.
Make every answer rhyme.
Please stop apologizing.
Give me shorter answers in future.
As a rule, answer with two sentences.
Max 30 words from now on.
Two sentences max from now on.
All lowercase please, always.
I hate it when you start with "Great question!".
Make sure you always finish with "Ask me more!".
It would be great if you could always write in lowercase.
Would you please keep every answer to one sentence?
Never, ever use emojis.
Answers must not exceed 40 words.
Your replies should never be longer than three sentences.
Limit all replies to 25 words.
Don't be so wordy in future.
For science questions, end with "Stay curious!".
Let every reply end with "Amen."
Your answers should all start with "Right,".
The word "literally" is banned from now on.
Do away with exclamation marks from now on.
Start every reply with 'Captain, '.
Answer in exactly one sentence from now on.
Sign your replies as Max, always.
In your answers, always use 'whilst' instead of 'while'.
When I ask about science, always start with 'Fun fact:'.
You must address me as Your Majesty.
For all future answers: no more than 40 words.
All your answers should be in uppercase.
I don't want any emojis in your replies ever again.
No, always begin with a short summary.
Please refer to me as 'boss' in every reply.
From now on I want shorter answers.
Use the metric system in every answer.
In code answers, never add comments.
Whenever I ask for a list, number the items.
Please remember to keep replies brief.
Every time you answer, finish with 'Woof'.
Always answer like a pirate.
When you describe a place, always mention the weather.
When you write code, add the comment '# ok' at the end.
After every answer, ask me a follow-up question.
I want every answer to end with 'amen'.
Don't ever use the word 'utilize'.
Next time you answer, put 'Over' at the end.
always say please
Please write 'Best, N.' at the end of all your answers.
If the question is about food, begin with "Chef's tip:".
When answering science questions, use one sentence only.
Please answer every question with at most two sentences.
""".strip().splitlines()

FOR_NOW = """
I told you to answer in one sentence.
I said no emojis, please keep your answers plain.
As I said, keep your answers short.
I already told you not to use bullet points.
For the rest of this chat, correct every mistake I make.
During this quiz, only ask one question at a time.
Until I say stop, answer in French.
For the next five questions, reply with one word.
In this conversation use simple words.
""".strip().splitlines()

NOTHING = """
can you make each explanation a bit longer to make it more valuable
No, I haven't been there.
No problem.
No worries, thanks!
No thanks.
No idea, what do you think?
Always look on the bright side of life - who sang it?
I always want to sleep after lunch.
Who wrote "From now on"?
What does "never say never" mean?
Write a story where the hero never sleeps.
Please write a poem about a cat that always lands on its feet.
"From now on, call me Captain."
> From now on, call me Captain.
Why do cats always land on their feet?
My boss always ends his emails with 'Cheers'.
She told me to stop using the phone.
I never eat meat.
People should always be polite.
The train never comes on time.
Is it true that you should never wake a sleepwalker?
How do I stop smoking?
Stop the music, who is singing?
Don't you think this is a bit strange?
Translate 'please always close the door' into French.
I said goodbye to my friend yesterday.
I told you about my dog, his name is Rex.
Thank you, that was helpful.
Actually, what about Spain?
What happens in future if the sea rises?
Next time I travel to Rome, where should I eat?
Remember the Alamo?
Summarize this: you should always answer in one sentence.
How can I always sleep well?
Never mind.
Tell me a joke about a man who always answers in rhymes.
Give me an example of a short sentence.
Can you always trust a compass?
Explain why we use metric units.
No, the second one.
Never gonna give you up is a great song.
Wait, is that really so?
Every sentence needs a verb, right?
In future tense, how do I say 'I go'?
My teacher says you should always start with an example.
Always and never are adverbs.
Call me when you can.
If you can, answer in one sentence: what is rust?
I always forget my keys, any tips?
What should I always pack for a trip?
My wife never answers my messages.
Please answer this: what is 7 times 8?
Stop! In the name of love is a song by whom?
Don't panic is written on the cover of which book?
Write a short poem about never giving up.
Give me a list of three rivers.
How do you always know the answer?
From now on the road gets steep, said the guide.
In future we will all fly, or so they say.
Please explain photosynthesis in one sentence.
Answer in one sentence: what is gravity?
No, that is my brother.
I'd like a recipe for soup.
Can you write an email to my boss saying I will never be late again?
Please do not call me Captain or any other title in this reply. What is rust?
Suggest a name for a boat. Do not sign your reply.
Without giving any example, define osmosis.
Explain photosynthesis in a long answer of at least five sentences.
Is it always raining in London?
You're always so kind!
I will remember that.
Call me Ishmael is the opening line of which novel?
They told me to start with Python.
Use a semicolon here?
What if every answer was wrong?
Never heard of it.
Is 'always' an adverb?
Every answer you gave was great!
Write a dialogue in which the teacher says: always answer in full sentences.
I have to end this relationship.
The next time we meet I will bring cake.
Explain why one should never mix bleach and ammonia.
Please always the same song plays on the radio.
Describe a man who always wears a hat.
For example, do cats always purr?
""".strip().splitlines()


BRIEFS = """
Write a blog post about sourdough. Always use a friendly tone and never exceed 400 words.
Act as a Linux terminal. Always reply with the output in a code block.
Rewrite this description and use the word "designed" whenever you make a claim.
Include the correct answer for each question, as well as explanations for each answer.
Stop using the double underscore in the css names!
From now on, I will explain the project I have to do.
(Remember: always respond with what YOU do, in the first person)
Thank you for all your answers, I appreciate the information.
Going forward, rule 5 is "item means all words in that list".
Remember that Hope speaks very formally.
From now on if a quest involves combat please stop and tell me.
Assume from this point onward that I have split the message into lines.
Review our guideline: never use exclamation marks and always keep sentences short and simple.
""".strip().splitlines()


def find(said, reply=REPLY):
    return Rules().find(PROMPT if reply else "", reply, said)


def for_good(findings):
    return [finding for finding in findings if finding.scope is Scope.SLOT]


@pytest.mark.parametrize("said", DURABLE)
def test_a_rule_for_good_is_found(said):
    finding, *_ = find(said)
    assert finding.kind is SignalKind.RULE
    assert finding.scope is Scope.SLOT
    assert finding.confidence >= 0.5


@pytest.mark.parametrize("said", FOR_NOW)
def test_a_rule_for_this_conversation_reaches_no_further(said):
    (finding,) = find(said)
    assert finding.scope is Scope.CONVERSATION
    assert finding.confidence < 0.5


@pytest.mark.parametrize("said", [*NOTHING, *BRIEFS])
def test_talk_about_the_world_and_briefs_for_a_task_are_no_rules_for_good(said):
    assert for_good(find(said)) == []
    assert for_good(find(said, reply="")) == []


def test_a_rule_may_open_a_conversation():
    (finding,) = find("From now on, answer in one sentence.", reply="")
    assert finding.scope is Scope.SLOT


def test_the_sentence_beside_it_makes_a_wish_last():
    assert for_good(find("No emojis. Not now, not ever."))
    assert not for_good(find("No emojis."))


def test_code_is_not_read():
    assert find("```\n# always answer in one sentence\n```") == []


def test_two_rules_in_one_message_are_two_findings():
    assert len(find("From now on, answer in one sentence. Also, never use emojis.")) == 2


def test_a_long_text_to_work_on_is_not_read():
    assert find("Always answer in one sentence. " * 40) == []


def test_what_is_said_in_a_role_is_no_rule():
    assert find("You are Gandalf. Stay in character and always answer in riddles.") == []
