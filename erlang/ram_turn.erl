%% The line in front of a key: updates of one key from one node take turns, so that a hot key does
%% not waste its retries. Only speed depends on it: the compare-and-set decides.
-module(ram_turn).
-behaviour(gen_server).

-export([start_link/0, run/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% A turn is the reference of who waits; a key's queue begins with who has it.
-record(state, {queues = #{} :: #{term() => queue:queue(reference())},
                turns = #{} :: #{reference() => {Key :: term(), gen_server:from()}}}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc Runs `Fun' when the turn of the caller has come.
-spec run(Key :: term(), timeout(), fun(() -> Result)) -> Result | {error, timeout | noproc}.
run(Key, Timeout, Fun) ->
    try gen_server:call(?MODULE, {take, Key}, Timeout) of
        Turn ->
            try Fun() after gen_server:cast(?MODULE, {give, Turn}) end
    catch
        exit:{timeout, {gen_server, call, [?MODULE | _]}} ->
            gen_server:cast(?MODULE, {leave, self(), Key}),
            {error, timeout};
        %% It does not run, or was stopped while the caller waited: nothing has happened.
        exit:{_Why, {gen_server, call, [?MODULE | _]}} ->
            {error, noproc}
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{}}.

-spec handle_call({take, term()}, gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call({take, Key}, {Pid, _} = From, #state{queues = Queues, turns = Turns} = State) ->
    Turn = monitor(process, Pid),
    Queue = maps:get(Key, Queues, queue:new()),
    queue:is_empty(Queue) andalso gen_server:reply(From, Turn),
    {noreply, State#state{queues = Queues#{Key => queue:in(Turn, Queue)},
                          turns = Turns#{Turn => {Key, From}}}}.

-spec handle_cast({give, reference()} | {leave, pid(), term()}, #state{}) -> {noreply, #state{}}.
handle_cast({give, Turn}, State) ->
    demonitor(Turn, [flush]),
    {noreply, drop(Turn, State)};
handle_cast({leave, Pid, Key}, #state{turns = Turns} = State) ->
    Left = [Turn || {Turn, {TurnKey, {TurnPid, _}}} <- maps:to_list(Turns),
                    TurnPid =:= Pid, TurnKey =:= Key],
    {noreply, lists:foldl(fun(Turn, Acc) -> demonitor(Turn, [flush]), drop(Turn, Acc) end,
                          State, Left)}.

-spec handle_info({'DOWN', reference(), process, pid(), term()}, #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Turn, process, _Pid, _Reason}, State) ->
    {noreply, drop(Turn, State)};
handle_info(_Other, State) ->
    {noreply, State}.

drop(Turn, #state{queues = Queues, turns = Turns} = State) ->
    case maps:take(Turn, Turns) of
        error ->
            State;
        {{Key, _From}, Rest} ->
            Queue = maps:get(Key, Queues),
            WasFirst = queue:peek(Queue) =:= {value, Turn},
            Left = queue:delete(Turn, Queue),
            WasFirst andalso grant_next(Left, Rest),
            State#state{queues = keep(Key, Left, Queues), turns = Rest}
    end.

grant_next(Queue, Turns) ->
    case queue:peek(Queue) of
        {value, Next} ->
            {_Key, From} = maps:get(Next, Turns),
            gen_server:reply(From, Next);
        empty ->
            ok
    end.

keep(Key, Queue, Queues) ->
    case queue:is_empty(Queue) of
        true -> maps:remove(Key, Queues);
        false -> Queues#{Key => Queue}
    end.
