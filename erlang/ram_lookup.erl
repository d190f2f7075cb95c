%% Reads with options: of any table, with metadata, of several keys at one revision, of a revision
%% at least. Made and awaited in the calling process; called by ram alone. Counterpart of lookup.rs.
%%
%% Each asks first in the call, which is answered from the table of this node if it may be, and else
%% waits for the answer of a request.
-module(ram_lookup).

-export([get/3, fetch/2, lookup/2, member/2, ttl/2, left/3, get_many/2, info/1, size/1, tables/0]).
-export([item/2, items/3, ask/4, unless_long/1, checked/2, encoded/2]).
%% The longest time that the library counts.
-define(FOREVER_MS, 31536000000).

-spec get(term(), term(), map()) -> term().
get(Key, Default, Options) ->
    Call = {get, [Key, Default, Options]},
    case found(Key, Options, Call) of
        {ok, Value, _Meta} -> Value;
        error -> Default
    end.

-spec fetch(term(), map()) -> {ok, term()} | error.
fetch(Key, Options) ->
    case found(Key, Options, {fetch, [Key, Options]}) of
        {ok, Value, _Meta} -> {ok, Value};
        error -> error
    end.

-spec lookup(term(), [map()]) -> {ok, term(), ram:meta()} | error.
lookup(Key, Options) ->
    case found(Key, options(Options), {lookup, [Key | Options]}) of
        {ok, Value, Meta} -> {ok, Value, ram_request:meta(Meta)};
        error -> error
    end.

-spec member(term(), [map()]) -> boolean().
member(Key, Options) ->
    Call = {member, [Key | Options]},
    look_up(Key, options(Options), Call) =/= none.

-spec ttl(term(), [map()]) -> {ok, ram:left()} | error.
ttl(Key, Options) ->
    case look_up(Key, options(Options), {ttl, [Key | Options]}) of
        none -> error;
        {_Kind, _Value, {_, _, _, Left, _}} -> {ok, Left}
    end.

%% @doc What is left of the time of a key, if this node has it with this revision; else all of it.
-spec left(ram_write:target(), term(), {ram:rev(), ram:ttl()}) -> ram:left().
left(_Target, _Key, {_Revision, infinity}) ->
    infinity;
left({Member, TimeoutMs, Table}, Key, {Revision, Ttl}) ->
    Asked = #{member => Member, table => Table, fresh => {local, 0}, timeout => TimeoutMs},
    case item(Asked, Key) of
        {_Kind, _Value, {Revision, _, _, Left, _}} -> Left;
        _Other -> Ttl
    end.

%% @doc The keys that are there, with what they held at one revision.
-spec get_many([term()], [map()]) -> #{term() => term()}.
get_many(Keys, Options) ->
    Call = {get_many, [Keys | Options]},
    Asked = ram_options:read(options(Options), #{}, Call),
    Checked = ram_arguments:keys(Keys, Call),
    maps:from_list([{Key, value(Item, Key, Call)}
                    || {Key, Item} <- lists:zip(Checked, items(Asked, Checked, Call)),
                       Item =/= none]).

%% @doc What each of these keys holds, all at one revision.
-spec items(ram_options:asked(), [term()], ram_error:call()) -> [ram_nif:item()].
items(#{member := Member, table := Table} = Asked, Keys, Call) ->
    Now = fun(Fresh) -> unless_long(ram_nif:get_many_now(Member, Table, Keys, Fresh)) end,
    Later = fun(Ref, Fresh, TimeoutMs) ->
                    ram_nif:get_many(Member, Ref, Table, Keys, Fresh, TimeoutMs)
            end,
    {items, Items} = checked(ask(Asked, Now, Later, length(Keys)), Call),
    Items.

-spec info(atom()) ->
          #{type := set | ordered_set, size := non_neg_integer(), bytes := non_neg_integer()}
        | error.
info(Name) ->
    Call = {info, [Name]},
    ok = ram_arguments:argument(Name, 1, fun ram_arguments:table/1, Call),
    case table_info(#{table => Name}, Call) of
        {ok, Type, Size, Bytes} -> #{type => Type, size => Size, bytes => Bytes};
        {error, {no_table, _}} -> error;
        Failed -> checked(Failed, Call)
    end.

-spec size([map()]) -> non_neg_integer().
size(Options) ->
    Call = {size, Options},
    {ok, _Type, Size, _Bytes} = checked(table_info(options(Options), Call), Call),
    Size.

table_info(Options, Call) ->
    #{member := Member, table := Table} = Asked = ram_options:read(Options, #{}, Call),
    Now = fun(Fresh) -> ram_nif:info_now(Member, Table, Fresh) end,
    Later = fun(Ref, Fresh, TimeoutMs) ->
                    ram_nif:info(Member, Ref, Table, Fresh, TimeoutMs)
            end,
    ask(Asked, Now, Later, 1).

-spec tables() -> [atom()].
tables() ->
    Call = {tables, []},
    #{member := Member} = Asked = ram_options:read(#{}, #{}, Call),
    Now = fun(Fresh) -> ram_nif:tables_now(Member, Fresh) end,
    Later = fun(Ref, Fresh, TimeoutMs) -> ram_nif:tables(Member, Ref, Fresh, TimeoutMs) end,
    {ok, Names} = checked(ask(Asked, Now, Later, 1), Call),
    lists:sort([binary_to_atom(Name) || Name <- Names, not ram_arguments:is_own_table(Name)]).

found(Key, Options, Call) ->
    case look_up(Key, Options, Call) of
        none -> error;
        {_Kind, _Value, Meta} = Item -> {ok, value(Item, Key, Call), Meta}
    end.

look_up(Key, Options, Call) ->
    checked(item(ram_options:read(Options, #{}, Call), Key), Call).

%% @doc What a key holds.
-spec item(ram_options:asked() | map(), term()) -> ram_nif:item() | {error, term()}.
item(#{member := Member, table := Table} = Asked, Key) ->
    Now = fun(Encoded) ->
                  fun(Fresh) -> ram_nif:lookup_now(Member, Table, Encoded, Fresh) end
          end,
    Later = fun(Encoded) ->
                    fun(Ref, Fresh, TimeoutMs) ->
                            ram_nif:lookup(Member, Ref, Table, Encoded, Fresh, TimeoutMs)
                    end
            end,
    Ask = fun(Encoded) -> ask(Asked, Now(Encoded), Later(Encoded), 1) end,
    case Ask(Key) of
        {error, {bad_key, long}} -> ram_request:by_long_key(Member, Key, Ask);
        Answer -> Answer
    end.

%% @doc What a key holds, with its value in external term format, for a write that depends on it.
-spec encoded(ram_write:target(), term()) ->
          none | {value, binary(), Revision :: pos_integer()} | {error, term()}.
encoded({Member, TimeoutMs, Table}, Key) ->
    Reads = case ram_request:member() of
                {_, _, Configured} -> ram_options:linearizable(Configured);
                undefined -> quorum
            end,
    Asked = #{member => Member, table => Table, fresh => {Reads, 0}, timeout => TimeoutMs},
    case item(Asked, Key) of
        {value, Value, {Revision, _, _, _, _}} -> {value, term_to_binary(Value), Revision};
        {encoded, Binary, {Revision, _, _, _, _}} -> {value, Binary, Revision};
        Other -> Other
    end.

%% @doc Asks in the call, where that takes no scheduler for long, and else by a request.
-spec ask(#{member := ram_nif:member(), fresh := {ram:reads(), non_neg_integer()},
            timeout := timeout(), _ => _}, fun((term()) -> term()),
          fun((reference(), term(), non_neg_integer()) -> ram_nif:reply()), non_neg_integer()) ->
          term().
ask(#{member := Member, fresh := Fresh, timeout := TimeoutMs}, Now, Later, Keys) ->
    case Keys > 100 orelse Now(Fresh) of
        Wait when Wait =:= ask; Wait =:= true ->
            LimitMs = limit_ms(TimeoutMs),
            Submit = fun(Ref) -> Later(Ref, Fresh, LimitMs) end,
            ram_request:call(Member, Submit, TimeoutMs);
        Answer ->
            Answer
    end.

%% @doc What was asked in the call, unless keys would have held a scheduler. The request takes them.
-spec unless_long(Answer) -> Answer | ask.
unless_long({error, {bad_key, long}}) -> ask;
unless_long(Answer) -> Answer.

limit_ms(infinity) -> ?FOREVER_MS;
limit_ms(Ms) -> min(Ms, ?FOREVER_MS).

%% @doc As ram_request:checked/2; tables are named by atoms.
-spec checked(Answer, ram_error:call()) -> Answer.
checked({error, {no_table, Name}}, Call) ->
    ram_error:failure({no_table, binary_to_atom(Name)}, Call);
checked(Answer, Call) ->
    ram_request:checked(Answer, Call).

value({value, Value, _Meta}, _Key, _Call) -> Value;
value({encoded, Binary, _Meta}, Key, Call) -> ram_request:decoded(Binary, Key, Call).

options([]) -> #{};
options([Options]) -> Options.
