%% Locks against a model, with processes that live and end. Run by ram_model_SUITE.
%%
%% Processes on each node of a cluster take a few locks, wait for them, give them back and end, one
%% step after the other. The model of a lock is a queue, whose first process holds it. After each
%% step that one has been given the lock, with a token larger than all before, nobody else has, and
%% there are as many requests as the queue is long. Debian's PropEr comes without its header, hence
%% the macro.
-module(ram_lock_prop).

-export([locks/0, use/1]).
%% Called on the nodes.
-export([returns/1, fails/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(RUN, {?MODULE, run}).
-define(NODES, [1, 2, 3]).
-define(NAMES, [a, {b, 1}]).
%% More than a handover takes on a busy machine, and as long as a case that fails.
-define(LATE_MS, ram_case:amount(10000, 2000)).
-define(WAIT_MS, 120000).

-import(ram_property, [holds/1]).
-import(proper_types, [frequency/1, range/2, elements/1, list/1]).

-type process() :: {Node :: pos_integer(), pid()}.
%% The tokens are those of all who have had it, the last one first.
-type lock() :: {Queue :: [{process(), waits | has_it}], Tokens :: [ram:rev()]}.

-record(run, {id :: integer(),
              %% Those who wait for nothing.
              idle :: [process()],
              locks :: #{Name :: term() => lock()}}).

%% @doc The cluster to work on.
use(Run) ->
    persistent_term:put(?RUN, Run).

locks() ->
    ?FORALL(Steps, list(step()), holds(wrong(Steps))).

%%% What is done

%% A number is of one of the processes in question, when they are counted again and again.
step() ->
    Name = elements(?NAMES),
    N = range(1, 9),
    frequency([{2, {begins, elements(?NODES)}}, {2, {ends, N}}, {3, {holder_ends, Name}},
               {4, {lock, N, Name}}, {9, {wait, elements(?NODES), Name}}, {1, {short, N, Name}},
               {2, {with_lock, N, elements([returns, fails]), Name}}, {6, {unlock, N, Name}},
               {2, {unlock, N, elements([older, newer, of_another, of_a_waiter]), Name}}]).

wrong(Steps) ->
    Begin = #run{id = erlang:unique_integer(), idle = [begins(Node) || Node <- ?NODES],
                 locks = maps:from_list([{Name, {[], []}} || Name <- ?NAMES])},
    Done = fun(Step, Run) -> settled(step(Step, Run)) end,
    ram_property:wrong(fun() -> all_end(lists:foldl(Done, Begin, Steps)) end).

begins(Node) -> {Node, on(Node, ram_holder, start, [])}.

step({begins, Node}, #run{idle = Idle} = Run) ->
    Run#run{idle = [begins(Node) | Idle]};
step({ends, N}, Run) ->
    case everybody(Run) of
        [] -> Run;
        All -> ends(nth(N, All), Run)
    end;
step({holder_ends, Name}, Run) ->
    case lock(Name, Run) of
        {[], _Tokens} -> Run;
        {[{Holder, has_it} | _], _Tokens} -> ends(Holder, Run)
    end;
step({wait, Node, Name}, Run) ->
    {Node, Pid} = Waiter = begins(Node),
    ok = on(Node, ram_holder, tell, [Pid, lock, [real(Name, Run), #{wait => ?WAIT_MS}]]),
    {Queue, Tokens} = lock(Name, Run),
    with(Name, {Queue ++ [{Waiter, waits}], Tokens}, Run);
step(_Asked, #run{idle = []} = Run) ->
    Run;
step(Asked, Run) ->
    asked(Asked, Run).

%% One that is idle.
asked({unlock, N, Which, Name}, Run) ->
    [expect(false, ask(N, unlock, [Name, Token], Run), {unlock, Which, Name, Token})
     || Token <- not_the_token(Which, Name, Run)],
    Run;
asked({unlock, N, Name}, Run) ->
    case lock(Name, Run) of
        {[], _Tokens} ->
            Run;
        {[_Holder | Queue], [Token | _] = Tokens} ->
            expect(true, ask(N, unlock, [Name, Token], Run), {unlock, Name, Token}),
            with(Name, {Queue, Tokens}, Run)
    end;
asked({with_lock, N, Fun, Name}, Run) ->
    case {lock(Name, Run), Fun, ask(N, with_lock, [Name, fun ?MODULE:Fun/1], Run)} of
        {{[], _}, returns, {ok, Token}} -> has_had(Token, Name, Run);
        {{[], _}, fails, {raised, throw, Token}} -> has_had(Token, Name, Run);
        {{[_ | _], _}, _Fun, {error, held}} -> Run;
        Other -> throw({wrong, {with_lock, Name, Other}})
    end;
asked({Kind, N, Name}, #run{idle = Idle} = Run) ->
    {More, Late} = case Kind of
                       lock -> {[], held};
                       short -> {[#{wait => 20}], timeout}
                   end,
    case {lock(Name, Run), ask(N, lock, [Name | More], Run)} of
        {{[], _}, {ok, Token}} ->
            #run{locks = #{Name := {[], Tokens}}} = Had = has_had(Token, Name, Run),
            with(Name, {[{nth(N, Idle), has_it}], Tokens}, Had);
        {{[_ | _], _}, {error, Late}} -> Run;
        Other -> throw({wrong, {Kind, Name, Other}})
    end.

-spec returns(ram:rev()) -> ram:rev().
returns(Token) -> Token.

-spec fails(ram:rev()) -> no_return().
fails(Token) -> throw(Token).

%% What was right once is not any more, and what will be right is not yet.
not_the_token(Which, Name, #run{locks = Locks} = Run) ->
    case {Which, lock(Name, Run)} of
        {older, {[], Tokens}} -> Tokens;
        {older, {_Queue, [_Token | Older]}} -> Older;
        {newer, {_Queue, Tokens}} -> [lists:max([0 | Tokens]) + 1];
        {of_a_waiter, {[_, _ | _], [Token | _]}} -> lists:seq(Token + 1, Token + 9);
        {of_a_waiter, _NobodyWaits} -> [];
        {of_another, _} -> lists:append([Tokens || {Other, {_, Tokens}} <- maps:to_list(Locks),
                                                   Other =/= Name])
    end.

%% Whoever held nothing that another took away was told nothing.
ends({Node, Pid} = Process, #run{idle = Idle, locks = Locks} = Run) ->
    _ = lists:member(Process, Idle)
        andalso expect([], on(Node, ram_holder, messages, [Pid]), {messages, Process}),
    ok = on(Node, ram_holder, stop, [Pid]),
    Without = fun(_Name, {Queue, Tokens}) -> {lists:keydelete(Process, 1, Queue), Tokens} end,
    Run#run{idle = lists:delete(Process, Idle), locks = maps:map(Without, Locks)}.

%% Holders first, so that each who waits has the lock before it ends.
all_end(#run{idle = Idle} = Run) ->
    case [Holder || {[{Holder, has_it} | _], _} <- maps:values(Run#run.locks)] ++ Idle of
        [] -> ok;
        [Next | _] -> all_end(settled(ends(Next, Run)))
    end.

%%% What must be then

settled(#run{locks = Locks} = Run) ->
    lists:foldl(fun settled/2, Run, maps:keys(Locks)).

settled(Name, Run) ->
    {Queue, _Tokens} = lock(Name, Run),
    Length = length(Queue),
    until(fun() -> on(1, ram_holder, requests, [real(Name, Run)]) =:= Length end,
          {not_requests, Name, Length}),
    Given = given(Name, Queue, Run),
    [expect([], told_yet(Waiter), {not_its_turn, Name, Queue})
     || {Waiter, waits} <- queue(Name, Given)],
    Given.

given(Name, [{First, waits} | Queue], #run{idle = Idle} = Run) ->
    until(fun() -> told_yet(First) =/= [] end, {not_given, Name, First}),
    case told_yet(First) of
        [{ok, Token}] ->
            #run{locks = #{Name := {_, Tokens}}} = Had = has_had(Token, Name, Run),
            with(Name, {[{First, has_it} | Queue], Tokens}, Had#run{idle = [First | Idle]});
        Told -> throw({wrong, {told, Name, Told}})
    end;
given(_Name, _NobodyNew, Run) ->
    Run.

has_had(Token, Name, Run) ->
    {Queue, Tokens} = lock(Name, Run),
    Token > hd(Tokens ++ [0]) orelse throw({wrong, {token, Token, Tokens}}),
    with(Name, {Queue, [Token | Tokens]}, Run).

expect(Expected, Expected, _Of) -> ok;
expect(_Expected, Answer, Of) -> throw({wrong, {Of, Answer}}).

until(Condition, What) ->
    try ok = ram_peers:eventually(Condition, ?LATE_MS)
    catch error:_ -> throw({wrong, What})
    end.

%%% Processes and locks

lock(Name, #run{locks = Locks}) -> maps:get(Name, Locks).

queue(Name, Run) -> element(1, lock(Name, Run)).

with(Name, Lock, #run{locks = Locks} = Run) -> Run#run{locks = Locks#{Name := Lock}}.

everybody(#run{idle = Idle, locks = Locks}) ->
    Idle ++ [Waiter || {Queue, _} <- maps:values(Locks), {Waiter, waits} <- Queue].

%% No name of a run is that of another one.
real(Name, #run{id = Id}) -> {Id, Name}.

nth(N, List) -> lists:nth(1 + N rem length(List), List).

ask(N, Function, [Name | Arguments], #run{idle = Idle} = Run) ->
    {Node, Pid} = nth(N, Idle),
    on(Node, ram_holder, ask, [Pid, Function, [real(Name, Run) | Arguments]]).

told_yet({Node, Pid}) -> on(Node, ram_holder, told_yet, [Pid]).

on(Node, Module, Function, Arguments) ->
    ram_peers:call(persistent_term:get(?RUN), Node, Module, Function, Arguments).
