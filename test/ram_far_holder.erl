%% A ram_holder on a node of a run, as its suite asks it.
-module(ram_far_holder).

-export([holder/2, ask/3, tell/3, told/1, messages/1]).
-export_type([holder/0]).

-type holder() :: {ram_peers:run(), Node :: pos_integer(), pid()}.

-spec holder(ram_peers:run(), pos_integer()) -> holder().
holder(Run, I) ->
    {Run, I, ram_peers:call(Run, I, ram_holder, start, [])}.

-spec ask(holder(), atom() | {module(), atom()}, [term()]) -> term().
ask(Holder, Function, Arguments) -> call(Holder, ask, [Function, Arguments]).

-spec tell(holder(), atom() | {module(), atom()}, [term()]) -> ok.
tell(Holder, Function, Arguments) -> call(Holder, tell, [Function, Arguments]).

-spec told(holder()) -> [term()].
told(Holder) -> call(Holder, told, []).

-spec messages(holder()) -> [term()].
messages(Holder) -> call(Holder, messages, []).

call({Run, I, Pid}, Function, Arguments) ->
    ram_peers:call(Run, I, ram_holder, Function, [Pid | Arguments]).
