%% Receivers of watches for ram_watch_prop: registered processes on the node of their watches, which
%% keep what they are sent. One acknowledges each message, or all that it has when it is told to, or
%% none. Called there by ram_peers:call/5, as the operations are that they are told of.
-module(ram_watch_receiver).

-export([watch/3, acknowledge/1, hasten/1, unwatch/1, got/1, stop/1, clear/0,
         perform/2, is_settled/0]).

-type acks() :: each | asked | never.
%% `Which' of its watches; and how many events of it were not acknowledged then.
-type got() :: {Which :: pos_integer(), ram:rev(), [tuple()] | initial_done | lost | unwatched,
                Unacked :: non_neg_integer()}.

-record(state, {acks :: acks(),
                watches = [] :: [ram:watch() | none],
                %% The messages of changes that were not acknowledged, the newest first.
                unacked = [] :: [{Which :: pos_integer(), ram:rev(), pos_integer()}],
                got = [] :: [got()]}).

%% @doc Begins these watches, for a process whose name begins with that of this module; what
%% ram:watch/2 answered to each, without the reference.
-spec watch(atom(), [{term(), map()}], acks()) -> [{ok, ram:rev()} | {error | raised, term()}].
watch(Name, Watches, Acks) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        true = register(Name, self()),
        {Answers, Refs} = lists:unzip([begin_watch(What, Options) || {What, Options} <- Watches]),
        Self ! {self(), Answers},
        receive_all(#state{acks = Acks, watches = Refs})
    end),
    receive
        {Pid, Answers} -> demonitor(Monitor, [flush]), Answers;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

begin_watch(What, Options) ->
    try ram:watch(What, Options) of
        {ok, Watch, Rev} -> {{ok, Rev}, Watch};
        {error, _} = Error -> {Error, none}
    catch
        error:Reason -> {{raised, Reason}, none}
    end.

-spec receive_all(#state{}) -> no_return().
receive_all(#state{watches = Watches, got = Got} = State) ->
    receive
        {ram_event, Watch, Rev, What} ->
            receive_all(told(which(Watch, Watches), Rev, What, State));
        {From, acknowledge} ->
            From ! {self(), ok},
            receive_all(acknowledged(State));
        {From, unwatch} ->
            From ! {self(), ok},
            receive_all(unwatched(State));
        {From, got} ->
            From ! {self(), lists:reverse(Got)},
            receive_all(State);
        {From, hasten} ->
            From ! {self(), ok},
            receive_all(hastened(State));
        {From, watches} ->
            From ! {self(), Watches},
            receive_all(State)
    end.

unwatched(#state{got = [{_, _, End, _} | _]} = State) when End =:= unwatched; End =:= lost ->
    State;
unwatched(#state{watches = Watches, got = Got} = State) ->
    [ok = ram:unwatch(Watch) || Watch <- Watches, Watch =/= none],
    State#state{got = [{1, 0, unwatched, 0} | Got]}.

hastened(#state{acks = never} = State) -> State;
hastened(State) -> acknowledged(State#state{acks = each}).

which(Watch, [Watch | _]) -> 1;
which(Watch, [_ | Watches]) -> 1 + which(Watch, Watches).

told(Which, Rev, What, #state{acks = Acks, unacked = Unacked, got = Got} = State) ->
    Before = lists:sum([Events || {Of, _, Events} <- Unacked, Of =:= Which]),
    Told = State#state{got = [{Which, Rev, What, Before} | Got]},
    case is_list(What) of
        true when Acks =:= each ->
            acknowledged(Told#state{unacked = [{Which, Rev, length(What)} | Unacked]});
        true -> Told#state{unacked = [{Which, Rev, length(What)} | Unacked]};
        false -> Told
    end.

%% The newest revision of a watch stands for those before; what was there at one revision comes in
%% several messages, of which each is acknowledged.
acknowledged(#state{unacked = Unacked, watches = Watches} = State) ->
    Newest = lists:foldr(fun({Which, Rev, _}, Of) -> Of#{Which => Rev} end, #{}, Unacked),
    _ = [ok = ram:watch_ack(lists:nth(Which, Watches), Rev)
         || {Which, Rev, _} <- Unacked, map_get(Which, Newest) =:= Rev],
    State#state{unacked = []}.

%% @doc It acknowledges what it has.
-spec acknowledge(atom()) -> ok.
acknowledge(Name) -> ask(Name, acknowledge).

%% @doc It ends its watches, and keeps what comes all the same.
-spec unwatch(atom()) -> ok.
unwatch(Name) -> ask(Name, unwatch).

-spec got(atom()) -> [got()].
got(Name) -> ask(Name, got).

ask(Name, Question) ->
    Pid = whereis(Name),
    Pid ! {self(), Question},
    receive {Pid, Answer} -> Answer after 10000 -> error({no_answer, Name}) end.

%% @doc From now on it acknowledges each message, unless it never does.
-spec hasten(atom()) -> ok.
hasten(Name) -> ask(Name, hasten).

%% @doc Ends its watches from outside, so that it keeps what was sent.
-spec stop(atom()) -> ok.
stop(Name) ->
    [ok = ram:unwatch(Watch) || Watch <- ask(Name, watches), Watch =/= none],
    ok.

%% @doc Ends all of a run before.
-spec clear() -> ok.
clear() ->
    lists:foreach(fun(Name) ->
                          Monitor = monitor(process, Name),
                          exit(whereis(Name), kill),
                          receive {'DOWN', Monitor, process, _, _} -> ok end
                  end,
                  [Name || Name <- registered(), lists:prefix(?MODULE_STRING, atom_to_list(Name))]).

%% @doc Performs an operation; its answer, and the present revision after it.
-spec perform(ram:rev(), ram_model:operation()) -> {term(), integer()}.
perform(Base, Operation) ->
    Answer = ram_model_call:perform(Base, Operation),
    {true, [], Rev} = ram:txn([], [], []),
    {Answer, Rev - Base}.

%% @doc Whether no key is there that will expire within a minute.
-spec is_settled() -> boolean().
is_settled() ->
    Left = [ram:ttl(Key, #{table => Table})
            || Table <- ram:tables(), Key <- ram:keys(#{table => Table})],
    lists:all(fun({ok, Ms}) -> Ms > 60000; (error) -> true end, Left).
