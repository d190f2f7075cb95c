%% Processes that hold locks and names, for suites: each lives on a node until it is ended, and does
%% there what the suite asks it to. Called there by ram_peers:call/5.
-module(ram_holder).

-export([start/0, ask/3, tell/3, told/1, told_yet/1, stop/1, messages/1, is_alive/1]).
-export([requests/1, keys/0]).
-export([append/4, appended/1, lock_all/3, given_up/2]).

%% @doc One that does nothing yet.
-spec start() -> pid().
start() ->
    spawn(fun() -> loop([]) end).

%% What else comes stays in the mailbox.
loop(Told) ->
    _ = put(told, Told),
    receive
        {?MODULE, ask, From, Ref, {Function, Arguments}} ->
            From ! {Ref, result(Function, Arguments)},
            loop(Told);
        {?MODULE, tell, {Function, Arguments}} ->
            loop([result(Function, Arguments) | Told]);
        {?MODULE, told, From, Ref} ->
            From ! {Ref, lists:reverse(Told)},
            loop(Told);
        {?MODULE, stop} ->
            ok
    end.

result(Function, Arguments) when is_atom(Function) ->
    result({ram, Function}, Arguments);
result({Module, Function}, Arguments) ->
    try apply(Module, Function, Arguments)
    catch Class:Reason -> {raised, Class, Reason}
    end.

%% @doc What a function of ram, or `{Module, Function}', answers when this process calls it.
-spec ask(pid(), atom() | {module(), atom()}, [term()]) -> term().
ask(Pid, Function, Arguments) ->
    answer(Pid, fun(Ref) -> {?MODULE, ask, self(), Ref, {Function, Arguments}} end).

answer(Pid, Question) ->
    Ref = monitor(process, Pid),
    Pid ! Question(Ref),
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Pid, Reason} -> error({holder, Reason})
    end.

%% @doc It calls the function, and nobody waits.
-spec tell(pid(), atom() | {module(), atom()}, [term()]) -> ok.
tell(Pid, Function, Arguments) ->
    Pid ! {?MODULE, tell, {Function, Arguments}},
    ok.

%% @doc What those calls were answered. Waits for what it is doing.
-spec told(pid()) -> [term()].
told(Pid) ->
    answer(Pid, fun(Ref) -> {?MODULE, told, self(), Ref} end).

%% @doc The same up to now.
-spec told_yet(pid()) -> [term()].
told_yet(Pid) ->
    {dictionary, Words} = process_info(Pid, dictionary),
    lists:reverse(proplists:get_value(told, Words, [])).

-spec stop(pid()) -> ok.
stop(Pid) ->
    Ref = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Ref, process, Pid, _} -> ok end.

%% @doc What it was sent beside that.
-spec messages(pid()) -> [term()].
messages(Pid) ->
    {messages, Messages} = process_info(Pid, messages),
    [Message || Message <- Messages, element(1, Message) =/= ?MODULE].

-spec is_alive(pid()) -> boolean().
is_alive(Pid) ->
    is_process_alive(Pid).

%% @doc How many hold the lock or wait for it.
-spec requests(term()) -> non_neg_integer().
requests(Name) ->
    length(keys({prefix, {tuple, 2, [Name]}})).

%% @doc All that is in the table of locks.
-spec keys() -> [term()].
keys() ->
    keys(all).

keys(Range) ->
    Call = {?MODULE, keys, []},
    ram_own_table:keys(Range, ram_options:own(#{table => '$ram_lock'}, Call), Call).

%%% A resource that refuses older tokens: a key that counts, and keeps the largest token.

%% @doc Takes the lock so often, and counts up `Times' each time; returns what was refused, what was
%% counted, and what went wrong.
-spec append(Lock :: term(), Resource :: term(), Rounds :: non_neg_integer(), pos_integer()) ->
          {Refused :: non_neg_integer(), Counted :: non_neg_integer(), Wrong :: [term()]}.
append(Lock, Resource, Rounds, Times) ->
    Outcomes = [round(Lock, Resource, Times) || _ <- lists:seq(1, Rounds)],
    {lists:sum([1 || {refused, _, _} <- Outcomes]), lists:sum([N || {_, N, _} <- Outcomes]),
     [Wrong || {_, _, [_ | _] = Wrong} <- Outcomes]}.

round(Lock, Resource, Times) ->
    try ram:with_lock(Lock, fun(Token) -> count(Resource, Token, Times, []) end,
                      #{wait => 20000}) of
        {ok, Counted} -> outcome(Counted);
        {error, lost} -> {lost, 0, []};
        {error, timeout} -> {late, 0, []}
    catch
        error:{timeout, _} -> {unknown, 0, []}
    end.

outcome({Kind, Counted}) ->
    {Kind, length(Counted), in_one_go(lists:reverse(Counted))}.

%% Nobody else came between.
in_one_go([]) -> [];
in_one_go([First | _] = Counted) ->
    case lists:seq(First, First + length(Counted) - 1) of
        Counted -> [];
        _ -> Counted
    end.

count(_Resource, _Token, 0, Counted) ->
    {done, Counted};
count(Resource, Token, Times, Counted) ->
    Add = fun({ok, {Newest, _N}}) when Newest > Token -> {keep, refused};
             ({ok, {_Older, N}}) -> {put, {Token, N + 1}, N + 1};
             (error) -> {put, {Token, 1}, 1}
          end,
    case ram:get_and_update(Resource, Add) of
        refused -> {refused, Counted};
        N -> count(Resource, Token, Times - 1, [N | Counted])
    end.

%% @doc How far it has counted.
-spec appended(term()) -> non_neg_integer().
appended(Resource) ->
    case ram:fetch(Resource) of
        {ok, {_Token, N}} -> N;
        error -> 0
    end.

%% @doc So many processes wait for the lock at once, each holds it for a moment: the tokens, in the
%% order in which they had it.
-spec lock_all(term(), pos_integer(), pos_integer()) -> [ram:rev()].
lock_all(Name, Count, WaitMs) ->
    Self = self(),
    Waiters = [spawn_monitor(fun() ->
                                     {ok, Token} = ram:lock(Name, #{wait => WaitMs}),
                                     Self ! {self(), Token},
                                     true = ram:unlock(Name, Token)
                             end) || _ <- lists:seq(1, Count)],
    %% Who has it is told of before it is given back, so these are in order.
    Tokens = [receive {Waiter, Token} when is_pid(Waiter) -> Token end || _ <- Waiters],
    [receive {'DOWN', Monitor, process, _, Reason} -> normal = Reason end
     || {_, Monitor} <- Waiters],
    Tokens.

%% @doc Gives up so many requests for as many locks while they are on their way; returns how many
%% were, and lives on.
-spec given_up(term(), pos_integer()) -> non_neg_integer().
given_up(Name, Count) ->
    lists:sum([try ram:lock({Name, N}, #{timeout => N rem 25, wait => N rem 2}) of
                   {ok, Token} -> true = ram:unlock({Name, N}, Token), 0
               catch
                   error:{timeout, _} -> 1
               end || N <- lists:seq(1, Count)]).
