%% Receivers of watches, for suites: a registered process on the node of the watch, which keeps what
%% it is sent and acknowledges it, or not. Called there by ram_peers:call/5.
-module(ram_listener).

-export([watch/3, got/1, revisions/1, wait/2, ack/2, hold/1, release/1, queue/1, unwatch/1,
         stop/1, sizes/0, process/0]).

-type mode() :: acks | keeps.

%% @doc Begins a watch whose messages a process of this name gets. It acknowledges all, with `keeps'
%% in the options none. Returns what ram:watch/2 does.
-spec watch(atom(), term(), map()) -> {ok, reference(), non_neg_integer()} | {error, term()}.
watch(Name, What, Options) ->
    Self = self(),
    Mode = maps:get(mode, Options, acks),
    {Pid, Monitor} = spawn_monitor(fun() ->
        register(Name, self()),
        Answer = ram:watch(What, maps:without([mode], Options)),
        Self ! {self(), Answer},
        listen(Mode, [])
    end),
    receive
        {Pid, Answer} -> demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

-spec listen(mode(), [tuple()]) -> no_return().
listen(Mode, Got) ->
    receive
        {ram_event, Watch, Rev, What} ->
            _ = Mode =:= acks andalso is_list(What) andalso ram:watch_ack(Watch, Rev),
            listen(Mode, [{Rev, What} | Got]);
        {got, From} -> From ! {self(), lists:reverse(Got)}, listen(Mode, Got);
        hold -> receive release -> listen(Mode, Got) end;
        {unwatch, From, Watch} -> From ! {self(), ram:unwatch(Watch)}, listen(Mode, Got)
    end.

%% @doc What it was sent so far, in order: `{Rev, Events | initial_done | lost}'.
-spec got(atom()) -> [{non_neg_integer(), term()}].
got(Name) ->
    ask(Name, {got, self()}).

ask(Name, Question) ->
    Pid = whereis(Name),
    Pid ! Question,
    receive {Pid, Answer} -> Answer after 10000 -> error({no_answer, Name}) end.

-spec revisions(atom()) -> [non_neg_integer()].
revisions(Name) ->
    [Rev || {Rev, Events} <- got(Name), is_list(Events)].

%% @doc Waits until it was sent something that holds; returns all.
-spec wait(atom(), fun((term()) -> boolean())) -> [{non_neg_integer(), term()}].
wait(Name, Holds) ->
    ok = ram_peers:eventually(fun() -> Holds(got(Name)) end),
    got(Name).

%% @doc Acknowledges by hand.
-spec ack(reference(), non_neg_integer()) -> ok.
ack(Watch, Rev) ->
    ram:watch_ack(Watch, Rev).

%% @doc It receives nothing until it is released.
-spec hold(atom()) -> ok.
hold(Name) ->
    Name ! hold,
    ok.

-spec release(atom()) -> ok.
release(Name) ->
    Name ! release,
    ok.

%% @doc How many messages are in its mailbox.
-spec queue(atom()) -> non_neg_integer().
queue(Name) ->
    {message_queue_len, Length} = process_info(whereis(Name), message_queue_len),
    Length.

-spec unwatch({atom(), reference()}) -> ok.
unwatch({Name, Watch}) ->
    ask(Name, {unwatch, self(), Watch}).

-spec stop(atom()) -> ok.
stop(Name) ->
    Monitor = monitor(process, Name),
    exit(whereis(Name), kill),
    receive {'DOWN', Monitor, process, _, _} -> ok end.

%% @doc What the watches of this node hold: how many there are, the bytes that wait, the history's.
-spec sizes() -> {non_neg_integer(), non_neg_integer(), non_neg_integer()}.
sizes() ->
    #{watches := Watches} = ram:status(),
    #{count := Count, queued_bytes := QueuedBytes, history_bytes := HistoryBytes} = Watches,
    {Count, QueuedBytes, HistoryBytes}.

%% @doc One that does nothing.
-spec process() -> pid().
process() ->
    spawn(fun() -> receive stop -> ok end end).
